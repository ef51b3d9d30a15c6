"""The environment and the command line of a container, as the manifest describes them (pure)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotlight_local.kubelet.resources import resource_value

Object = Mapping[str, Any]
_KEYED: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_REFERENCE: Final = re.compile(r"\$(\$|\([^()]*\))")
_ENV_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class ConfigurationError(Exception):
    """A container refers to something that is not there; the text is the event's message."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the node knows of a pod."""

    pod_ip: str
    host_ip: str
    node: str
    capacity: Mapping[str, str]  # of the node: cpu, memory, ephemeral-storage


@dataclass(frozen=True, slots=True)
class Sources:
    """Look-ups in the pod's namespace: the object's `data` as bytes, or None when it is absent."""

    config_map: Callable[[str], Mapping[str, bytes] | None]
    secret: Callable[[str], Mapping[str, bytes] | None]


def config_map_data(obj: Object) -> dict[str, bytes]:
    data = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    binary = obj.get("binaryData") or {}
    return data | {key: base64.b64decode(value) for key, value in binary.items()}


def secret_data(obj: Object) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}


def environment(
    pod: Object, container: Object, facts: Facts, sources: Sources, base: Mapping[str, str]
) -> dict[str, str]:
    """`base`, then envFrom, then env, each later name winning; `$(NAME)` refers to what is defined
    before it in the manifest, not to `base`.

    Raises ConfigurationError for a missing object or key that is not optional.
    """
    defined: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        defined |= _from_source(source, sources)
    for entry in container.get("env") or []:
        if "valueFrom" in entry:
            value = _value_from(entry, pod, container, facts, sources)
            if value is None:
                continue
        else:
            value = expand(entry.get("value") or "", defined)
        defined[entry["name"]] = value
    return {**base, **defined}


def expand(text: str, names: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; `$$(NAME)` gives `$(NAME)`, an unknown name stays."""

    def replace(match: re.Match[str]) -> str:
        found = match.group(1)
        if found == "$":
            return "$"
        return names.get(found[1:-1], match.group(0))

    return _REFERENCE.sub(replace, text)


def command_line(
    container: Object, image_command: Sequence[str], names: Mapping[str, str]
) -> tuple[str, ...]:
    """The image's command is its entry point: `command` replaces it, `args` are added to it."""
    command = list(container.get("command") or image_command)
    arguments = list(container.get("args") or [])
    return tuple(expand(part, names) for part in [*command, *arguments])


def field(path: str, pod: Object, facts: Facts) -> str:
    """What a fieldRef gives. Raises ConfigurationError for a path that is not supported."""
    keyed = _KEYED.fullmatch(path)
    metadata = pod["metadata"]
    if keyed:
        return str((metadata.get(keyed.group(1)) or {}).get(keyed.group(2), ""))
    spec = pod["spec"]
    values: dict[str, Any] = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": facts.node,
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path in values:
        return str(values[path])
    if path in ("metadata.labels", "metadata.annotations"):
        return _lines(metadata.get(path.partition(".")[2]) or {})
    raise ConfigurationError(f"fieldPath {path!r} is not supported")


def _lines(mapping: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{_quote(value)}"' for key, value in sorted(mapping.items()))


def _quote(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _from_source(source: Object, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field_name, kind, look_up in (
        ("configMapRef", "configmap", sources.config_map),
        ("secretRef", "secret", sources.secret),
    ):
        reference = source.get(field_name)
        if reference is None:
            continue
        data = look_up(reference["name"])
        if data is None:
            if reference.get("optional"):
                return {}
            raise ConfigurationError(f'{kind} "{reference["name"]}" not found')
        return {
            prefix + key: value.decode(errors="replace")
            for key, value in data.items()
            if _ENV_NAME.fullmatch(prefix + key)
        }
    return {}


def _value_from(
    entry: Object, pod: Object, container: Object, facts: Facts, sources: Sources
) -> str | None:
    source = entry["valueFrom"]
    if "fieldRef" in source:
        return field(source["fieldRef"]["fieldPath"], pod, facts)
    if "resourceFieldRef" in source:
        return resource_field(source["resourceFieldRef"], pod, container, facts)
    if "configMapKeyRef" in source:
        return _key(source["configMapKeyRef"], "configmap", sources.config_map)
    if "secretKeyRef" in source:
        return _key(source["secretKeyRef"], "secret", sources.secret)
    raise ConfigurationError(f"env {entry['name']}: valueFrom {sorted(source)} is not supported")


def resource_field(reference: Object, pod: Object, container: Object | None, facts: Facts) -> str:
    """What a resourceFieldRef gives: a limit that is not set is the node's capacity."""
    name = reference.get("containerName")
    if name:
        container = next((c for c in pod["spec"]["containers"] if c["name"] == name), None)
    if container is None:
        raise ConfigurationError(f"resourceFieldRef: container {name!r} not found")
    try:
        return resource_value(
            reference["resource"],
            reference.get("divisor"),
            container.get("resources") or {},
            facts.capacity,
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _key(
    reference: Object, kind: str, look_up: Callable[[str], Mapping[str, bytes] | None]
) -> str | None:
    name, key = reference.get("name", ""), reference["key"]
    data = look_up(name)
    if data is None:
        if reference.get("optional"):
            return None
        raise ConfigurationError(f'{kind} "{name}" not found')
    if key not in data:
        if reference.get("optional"):
            return None
        raise ConfigurationError(f"couldn't find key {key} in {kind} {name}")
    return data[key].decode(errors="replace")
