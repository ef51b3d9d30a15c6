"""Validation of the built-in kinds: the mistakes that people make, in the words of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pilotlight_local.apiserver.errors import (
    ApiError,
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    missing_reference,
    required,
    unsupported_value,
)
from pilotlight_local.apiserver.selectors import from_object
from pilotlight_local.apiserver.values import Object, lookup, same_json

from .metadata import bad_label_name
from .network_policy import network_policy

IMMUTABLE: Final = "field is immutable"
_ENV_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z")
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+\Z")
_QUANTITY: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?\Z")


def validate_object(kind: str, obj: Object, old: Object | None) -> list[Cause]:
    """The errors of a complete object of a built-in kind."""
    check = _CHECKS.get(kind)
    return list(check(obj, old)) if check else []


def _dicts(value: Any) -> Iterator[tuple[int, Object]]:
    if isinstance(value, list):
        yield from ((i, item) for i, item in enumerate(value) if isinstance(item, dict))


def _pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    containers = spec.get("containers")
    if not containers:
        yield required(f"{path}.containers")
    volumes = {v.get("name") for _, v in _dicts(spec.get("volumes"))}
    yield from _distinct(spec.get("volumes"), "name", f"{path}.volumes")
    for i, volume in _dicts(spec.get("volumes")):
        yield from _named(volume, f"{path}.volumes[{i}].name")
    seen: set[str] = set()
    for section in ("initContainers", "containers"):
        for i, container in _dicts(spec.get(section)):
            where = f"{path}.{section}[{i}]"
            yield from _container(container, where, volumes)
            name = container.get("name")
            if name and name in seen:
                yield duplicate(f"{where}.name", name)
            seen.add(name or "")
    yield from _one_of(spec, "restartPolicy", ("Always", "OnFailure", "Never"), path)
    policies = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
    yield from _one_of(spec, "dnsPolicy", policies, path)
    yield from _not_negative(spec, "terminationGracePeriodSeconds", path)


def _container(container: Object, where: str, volumes: set[Any]) -> Iterator[Cause]:
    yield from _named(container, f"{where}.name")
    if not container.get("image"):
        yield required(f"{where}.image")
    for i, port in _dicts(container.get("ports")):
        number = port.get("containerPort")
        if number is None:
            yield required(f"{where}.ports[{i}].containerPort")
        else:
            yield from _port(number, f"{where}.ports[{i}].containerPort")
        yield from _one_of(port, "protocol", ("SCTP", "TCP", "UDP"), f"{where}.ports[{i}]")
    for i, variable in _dicts(container.get("env")):
        name = variable.get("name")
        if not name:
            yield required(f"{where}.env[{i}].name")
        elif not _ENV_NAME.match(str(name)):
            detail = (
                "a valid environment variable name must consist of alphabetic characters, digits,"
                " '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or"
                " 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is"
                " '[-._a-zA-Z][-._a-zA-Z0-9]*')"
            )
            yield invalid_value(f"{where}.env[{i}].name", name, detail)
    for i, mount in _dicts(container.get("volumeMounts")):
        if mount.get("name") not in volumes:
            yield missing_reference(f"{where}.volumeMounts[{i}].name", mount.get("name", ""))
        if not mount.get("mountPath"):
            yield required(f"{where}.volumeMounts[{i}].mountPath")
    yield from _one_of(container, "imagePullPolicy", ("Always", "IfNotPresent", "Never"), where)
    yield from _resources(container.get("resources"), f"{where}.resources")


def _resources(resources: Any, where: str) -> Iterator[Cause]:
    if not isinstance(resources, dict):
        return
    for section in ("limits", "requests"):
        for name, value in (resources.get(section) or {}).items():
            if not _QUANTITY.match(str(value)):
                detail = (
                    "quantities must match the regular expression"
                    " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                )
                yield invalid_value(f"{where}.{section}[{name}]", value, detail)


def _named(item: Object, where: str) -> Iterator[Cause]:
    name = item.get("name")
    if not name:
        yield required(where)
    else:
        yield from (invalid_value(where, name, text) for text in bad_label_name(str(name)))


def _port(number: Any, where: str) -> Iterator[Cause]:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 65535:
        yield invalid_value(where, number, "must be between 1 and 65535, inclusive")


def _one_of(obj: Object, name: str, allowed: Iterable[str], where: str) -> Iterator[Cause]:
    value = obj.get(name)
    if value is not None and value not in allowed:
        yield unsupported_value(f"{where}.{name}", value, allowed)


def _not_negative(obj: Object, name: str, where: str) -> Iterator[Cause]:
    value = obj.get(name)
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        yield invalid_value(f"{where}.{name}", value, "must be an integer")
    elif value < 0:
        detail = "must be greater than or equal to 0"
        yield invalid_value(f"{where}.{name}", value, detail)


def _distinct(items: Any, key: str, where: str) -> Iterator[Cause]:
    seen = set()
    for i, item in _dicts(items):
        value = item.get(key)
        if value in seen:
            yield duplicate(f"{where}[{i}].{key}", value)
        seen.add(value)


_CHANGEABLE: Final = (
    "terminationGracePeriodSeconds", "activeDeadlineSeconds", "tolerations", "nodeName",
    "schedulingGates", "containers", "initContainers", "ephemeralContainers",
)  # fmt: skip


def _pod(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if old is None:
        yield from _pod_spec(spec, "spec")
        return
    before = old.get("spec") or {}
    if before is spec or same_json(before, spec):
        return
    changed = [n for n in {*before, *spec} if not same_json(before.get(n), spec.get(n))]
    moved = bool(before.get("nodeName")) and before["nodeName"] != spec.get("nodeName")
    if moved or any(name not in _CHANGEABLE for name in changed) or _contents(spec, before):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
            " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to"
            " be set to 1 if it was previously negative)",
        )


def _contents(spec: Object, before: Object) -> bool:
    """Whether containers differ in more than their images and resources."""
    return not same_json(*(_without_images(s) for s in (spec, before)))


def _without_images(spec: Object) -> Object:
    return {
        section: [
            {k: v for k, v in container.items() if k not in ("image", "resources")}
            for _, container in _dicts(spec.get(section))
        ]
        for section in ("containers", "initContainers")
    }


def _workload(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    template = spec.get("template") or {}
    yield from _not_negative(spec, "replicas", "spec")
    if not isinstance(selector, dict):
        yield required("spec.selector")
    else:
        yield from _selector(selector, template)
    if old is not None and not same_json(lookup(old, "spec", "selector"), selector):
        yield invalid_value("spec.selector", selector, IMMUTABLE)
    yield from _pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = lookup(template, "spec", "restartPolicy")
    if policy in ("OnFailure", "Never"):
        yield unsupported_value("spec.template.spec.restartPolicy", policy, ["Always"])
    strategy = spec.get("strategy")
    if isinstance(strategy, dict):
        yield from _one_of(strategy, "type", ("Recreate", "RollingUpdate"), "spec.strategy")


def _selector(selector: Object, template: Object) -> Iterator[Cause]:
    labels = lookup(template, "metadata", "labels")
    try:
        parsed = from_object(selector)
    except ApiError as error:
        yield invalid_value("spec.selector", selector, error.message)
        return
    if not parsed.requirements:
        yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    elif not parsed.matches(labels if isinstance(labels, dict) else {}):
        detail = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", labels, detail)


def _service(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    yield from _one_of(spec, "type", kinds, "spec")
    ports = spec.get("ports")
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    if spec.get("type") == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    yield from _service_ports(ports)
    before = lookup(old, "spec", "clusterIP")
    both = "ExternalName" not in (spec.get("type"), lookup(old, "spec", "type"))
    if old is not None and both and before and before != spec.get("clusterIP"):
        detail = "may not change once set"
        yield invalid_value("spec.clusterIPs[0]", [spec.get("clusterIP")], detail)


def _service_ports(ports: Any) -> Iterator[Cause]:
    several = isinstance(ports, list) and len(ports) > 1
    seen = set()
    for i, port in _dicts(ports):
        where = f"spec.ports[{i}]"
        yield from _port(port.get("port"), f"{where}.port")
        if several and not port.get("name"):
            yield required(f"{where}.name")
        if port.get("name"):
            yield from (
                invalid_value(f"{where}.name", port["name"], text)
                for text in bad_label_name(str(port["name"]))
            )
        key = port.get("port"), port.get("protocol")
        if key in seen:
            yield duplicate(where, {"port": key[0], "protocol": key[1]})
        seen.add(key)
        target = port.get("targetPort")
        if isinstance(target, int):
            yield from _port(target, f"{where}.targetPort")
        yield from _one_of(port, "protocol", ("SCTP", "TCP", "UDP"), where)
    yield from _distinct([p for _, p in _dicts(ports) if p.get("name")], "name", "spec.ports")


def _data(obj: Object, old: Object | None) -> Iterator[Cause]:
    for section in ("data", "binaryData"):
        values = obj.get(section)
        if values is None:
            continue
        if not isinstance(values, dict):
            yield invalid_value(section, values, "must be an object")
            continue
        for key, value in values.items():
            if not _KEY.match(key) or len(key) > 253:
                detail = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                    " (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation"
                    " is '[-._a-zA-Z0-9]+')"
                )
                yield invalid_value(f"{section}[{key}]", key, detail)
            if not isinstance(value, str):
                yield invalid_value(f"{section}[{key}]", value, "must be a string")
    if old is not None and old.get("immutable"):
        for section in ("data", "binaryData"):
            if not same_json(old.get(section), obj.get(section)):
                yield forbidden_field(section, "field is immutable when `immutable` is set")
    if old is not None and "type" in old and old["type"] != obj.get("type"):
        yield invalid_value("type", obj.get("type"), IMMUTABLE)


def _endpoint_slice(obj: Object, old: Object | None) -> Iterator[Cause]:
    if not obj.get("addressType"):
        yield required("addressType")
    else:
        yield from _one_of(obj, "addressType", ("FQDN", "IPv4", "IPv6"), "")
    for i, endpoint in _dicts(obj.get("endpoints")):
        if not endpoint.get("addresses"):
            yield required(f"endpoints[{i}].addresses", "must contain at least 1 address")


def _autoscaler(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    for name in ("kind", "name"):
        if not lookup(spec, "scaleTargetRef", name):
            yield required(f"spec.scaleTargetRef.{name}")
    highest = spec.get("maxReplicas")
    if not isinstance(highest, int) or highest < 1:
        yield invalid_value("spec.maxReplicas", highest or 0, "must be greater than 0")
    elif isinstance(spec.get("minReplicas"), int) and spec["minReplicas"] > highest:
        detail = "must be greater than or equal to `minReplicas`"
        yield invalid_value("spec.maxReplicas", highest, detail)


def _lease(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    if isinstance(seconds, int) and seconds <= 0:
        yield invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    yield from _not_negative(spec, "leaseTransitions", "spec")


def _binding(obj: Object, old: Object | None) -> Iterator[Cause]:
    if not lookup(obj, "roleRef", "name"):
        yield required("roleRef.name")
    if old is not None and not same_json(old.get("roleRef"), obj.get("roleRef")):
        yield invalid_value("roleRef", obj.get("roleRef"), "cannot change roleRef")


def _webhooks(obj: Object, old: Object | None) -> Iterator[Cause]:
    for i, webhook in _dicts(obj.get("webhooks")):
        where = f"webhooks[{i}]"
        if not webhook.get("name"):
            yield required(f"{where}.name")
        if not webhook.get("sideEffects"):
            yield required(f"{where}.sideEffects", "must specify one of None, NoneOnDryRun")
        if not webhook.get("admissionReviewVersions"):
            detail = "must specify one of v1, v1beta1"
            yield required(f"{where}.admissionReviewVersions", detail)
        config = webhook.get("clientConfig") or {}
        if bool(config.get("url")) == bool(config.get("service")):
            detail = "exactly one of url or service is required"
            yield required(f"{where}.clientConfig", detail)
        yield from _one_of(webhook, "failurePolicy", ("Fail", "Ignore"), where)
        seconds = webhook.get("timeoutSeconds")
        if not isinstance(seconds, int) or not 1 <= seconds <= 30:
            detail = "the timeout value must be between 1 and 30 seconds"
            yield invalid_value(f"{where}.timeoutSeconds", seconds, detail)


_CHECKS: Final[dict[str, Callable[[Object, Object | None], Iterator[Cause]]]] = {
    "Pod": _pod,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Service": _service,
    "ConfigMap": _data,
    "Secret": _data,
    "EndpointSlice": _endpoint_slice,
    "HorizontalPodAutoscaler": _autoscaler,
    "Lease": _lease,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "NetworkPolicy": network_policy,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingWebhookConfiguration": _webhooks,
}
