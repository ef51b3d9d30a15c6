"""The Deployment of a Revision."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from pilotlight import names
from pilotlight.config.deployment import TokenMount
from pilotlight.config.go_values import parse_duration_s
from pilotlight_operator.desired import mounts
from pilotlight_operator.desired.metadata import (
    child_metadata,
    revision_child_annotations,
    revision_child_labels,
)
from pilotlight_operator.desired.pod import containers, serving_container, serving_index, user_port
from pilotlight_operator.desired.queue_container import queue_container
from pilotlight_operator.objects import (
    Labels,
    Obj,
    annotations_of,
    first,
    labels_of,
    name_of,
    spec_of,
    status_of,
    uid_of,
)
from pilotlight_operator.settings import Settings

_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_OWN_FIELDS: Final = frozenset(
    {
        "containers",
        "containerConcurrency",
        "timeoutSeconds",
        "responseStartTimeoutSeconds",
        "idleTimeoutSeconds",
    }
)
_INITIAL_SCALE: Final = (names.INITIAL_SCALE_ANNOTATION, names.INITIAL_SCALE_ANNOTATION_ALT)


def deployment(revision: Obj, settings: Settings) -> Obj:
    """As it should be, without `spec.replicas`: those are the autoscaler's once it exists."""
    labels = revision_child_labels(revision)
    annotations = revision_child_annotations(revision)
    spec = {
        "selector": {"matchLabels": {names.REVISION_UID_LABEL: uid_of(revision)}},
        "progressDeadlineSeconds": progress_deadline(revision, settings),
        "revisionHistoryLimit": 0,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
        "template": _template(revision, settings, labels, annotations),
    }
    digest = fingerprint({"spec": spec, "labels": labels, "annotations": annotations})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(
            revision,
            names.deployment_name(name_of(revision)),
            {**labels, names.DEPLOYMENT_HASH_LABEL: digest},
            annotations,
        ),
        "spec": spec,
    }


def initial_scale(revision: Obj, settings: Settings) -> int:
    """How many pods a new Revision starts with."""
    annotated = first(annotations_of(revision), *_INITIAL_SCALE)
    return settings.autoscaler.initial_scale if annotated is None else int(annotated)


def progress_deadline(revision: Obj, settings: Settings) -> int:
    """Seconds after which a Revision that does not come up has failed."""
    annotated = annotations_of(revision).get(names.PROGRESS_DEADLINE_ANNOTATION)
    return settings.progress_deadline_s if annotated is None else int(parse_duration_s(annotated))


def fingerprint(document: Obj) -> str:
    """A short hash of the canonical JSON, in digits and lower-case letters: fit for a label."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    value = int.from_bytes(hashlib.blake2s(text.encode(), digest_size=5).digest(), "big")
    digits = ""
    while value:
        value, digit = divmod(value, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"


def _template(revision: Obj, settings: Settings, labels: Labels, annotations: Labels) -> Obj:
    default_container = serving_container(revision).get("name") or names.USER_CONTAINER
    return {
        "metadata": {
            "labels": labels,
            "annotations": {**annotations, names.DEFAULT_CONTAINER_ANNOTATION: default_container},
        },
        "spec": _pod_spec(revision, settings),
    }


def _pod_spec(revision: Obj, settings: Settings) -> Obj:
    """The user's pod spec with the queue-proxy in front, so that it starts while the user's own
    containers are still being made.
    """
    given = spec_of(revision)
    spec = {key: value for key, value in given.items() if key not in _OWN_FIELDS}
    spec["containers"] = [
        queue_container(revision, settings),
        *(mounts.with_logs(each, settings) for each in _user_containers(revision, settings)),
    ]
    added = mounts.volumes(revision, settings)
    if added:
        spec["volumes"] = [*(given.get("volumes") or ()), *added]
    if "initContainers" in spec:
        digests = _digests(revision, "initContainerStatuses")
        spec["initContainers"] = [_by_digest(each, digests) for each in spec["initContainers"]]
    spec["terminationGracePeriodSeconds"] = int(given.get("timeoutSeconds") or 0)
    if "enableServiceLinks" not in given and settings.defaults.enable_service_links is not None:
        spec["enableServiceLinks"] = settings.defaults.enable_service_links
    if not _wants_token(given, settings):
        spec["automountServiceAccountToken"] = False
    if "affinity" not in given and settings.spread_over_nodes:
        spec["affinity"] = _spread(revision)
    if "runtimeClassName" not in given:
        runtime_class = settings.deployment.runtime_class_name(labels_of(revision))
        if runtime_class:
            spec["runtimeClassName"] = runtime_class
    return spec


def _wants_token(spec: Obj, settings: Settings) -> bool:
    """A token is a volume, and the kubelet looks for mounted volumes only every 300 ms: `auto`
    mounts it for those who name an account or ask for it.
    """
    asked = spec.get("automountServiceAccountToken")
    mount = settings.deployment.service_account_token
    if asked is False or mount is TokenMount.NEVER:
        return False
    if mount is TokenMount.ALWAYS:
        return True
    return asked is True or bool(spec.get("serviceAccountName"))


def _spread(revision: Obj) -> Obj:
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {names.REVISION_LABEL: name_of(revision)}},
    }
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": term}
            ]
        }
    }


def _user_containers(revision: Obj, settings: Settings) -> list[Obj]:
    serving, digests = serving_index(revision), _digests(revision, "containerStatuses")
    probed = settings.probes_all_containers
    return [
        _by_digest(
            _serving(container, revision, probed)
            if index == serving
            else _sidecar(container, revision, probed),
            digests,
        )
        for index, container in enumerate(containers(revision))
    ]


def _digests(revision: Obj, field: str) -> Labels:
    """The images that Knative found behind the tags when it made the Revision, by container."""
    statuses = status_of(revision).get(field) or ()
    return {item.get("name", ""): item.get("imageDigest") or "" for item in statuses}


def _by_digest(container: Obj, digests: Labels) -> Obj:
    """A Revision that was bound to a digest stays so: its tag may have moved since."""
    image = digests.get(container.get("name", ""))
    return {**container, "image": image} if image else container


def _serving(container: Obj, revision: Obj, probed: bool) -> Obj:
    port = user_port(revision)
    changed = _common(container)
    changed["ports"] = [{"name": names.USER_PORT_NAME, "containerPort": port, "protocol": "TCP"}]
    changed["env"] = [
        *(container.get("env") or ()),
        {"name": "PORT", "value": str(port)},
        *_identity(revision),
    ]
    _leave_to_queue_proxy(changed)
    liveness = container.get("livenessProbe")
    if liveness:
        changed["livenessProbe"] = _with_port(
            liveness if probed else _at_port(liveness, port), port
        )
    startup = container.get("startupProbe")
    if startup:
        changed["startupProbe"] = _with_port(startup, port)
    return changed


def _sidecar(container: Obj, revision: Obj, probed: bool) -> Obj:
    changed = _common(container)
    changed["env"] = [*(container.get("env") or ()), *_identity(revision)]
    if probed:
        _leave_to_queue_proxy(changed)
    return changed


def _leave_to_queue_proxy(container: Obj) -> None:
    """Only the kubelet can run a command in a container."""
    if "exec" not in (container.get("readinessProbe") or {}):
        container.pop("readinessProbe", None)


def _common(container: Obj) -> Obj:
    changed = dict(container)
    changed.setdefault("name", names.USER_CONTAINER)
    drain = {"path": "/wait-for-drain", "port": names.QUEUE_ADMIN_PORT, "scheme": "HTTP"}
    changed["lifecycle"] = {"preStop": {"httpGet": drain}}
    changed["stdin"] = False
    changed["tty"] = False
    if not container.get("terminationMessagePolicy"):
        changed["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return changed


def _at_port(probe: Obj, port: int) -> Obj:
    changed = dict(probe)
    for handler in ("httpGet", "tcpSocket"):
        if handler in probe:
            changed[handler] = {**(probe[handler] or {}), "port": port}
    return changed


def _with_port(probe: Obj, port: int) -> Obj:
    """A port that was chosen stays. Without one the API would refuse the pod, and a name means the
    only port there is, which has another name here.
    """
    changed = dict(probe)
    for handler in ("httpGet", "tcpSocket", "grpc"):
        given = (probe.get(handler) or {}).get("port")
        if handler in probe and not (isinstance(given, int) and given > 0):
            changed[handler] = {**(probe[handler] or {}), "port": port}
    return changed


def _identity(revision: Obj) -> list[Obj]:
    labels = labels_of(revision)
    values = {
        "K_REVISION": name_of(revision),
        "K_CONFIGURATION": labels.get(names.CONFIGURATION_LABEL, ""),
        "K_SERVICE": labels.get(names.SERVICE_LABEL, ""),
    }
    return [{"name": name, "value": value} for name, value in values.items()]
