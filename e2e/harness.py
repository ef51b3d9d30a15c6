"""What the tests stand on: a Kubernetes API by $KUBECONFIG, a gateway by $PILOTLIGHT_GATEWAY_URL.

Nothing here knows local mode; what does is in `local_harness.py`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from kubernetes import client, config, dynamic
from kubernetes.client.exceptions import ApiException

from pilotlight.cli.load import Answer, Tally, Target, fire

IMAGE: Final = os.environ.get("PILOTLIGHT_E2E_IMAGE", "dev.local/e2e-app:1")
IMAGES: Final = Path(__file__).with_name("images.yaml")
MANAGER: Final = "e2e"
# How much slower than two idle cores the machine is; stretches what has a promised time.
SLOW: Final = float(os.environ.get("PILOTLIGHT_E2E_SLOW", "1"))
READY_S: Final = 20.0 * SLOW
ASLEEP_S: Final = 40.0 * SLOW
LOOK_EVERY_S: Final = 0.05
SYSTEM: Final = "knative-serving"

SERVING: Final = "serving.knative.dev/v1"
SERVICE: Final = (SERVING, "Service")
CONFIGURATION: Final = (SERVING, "Configuration")
REVISION: Final = (SERVING, "Revision")
ROUTE: Final = (SERVING, "Route")
AUTOSCALER: Final = ("autoscaling.internal.knative.dev/v1alpha1", "PodAutoscaler")
INGRESS: Final = ("networking.internal.knative.dev/v1alpha1", "Ingress")
POD: Final = ("v1", "Pod")
NAMESPACE: Final = ("v1", "Namespace")
CORE_SERVICE: Final = ("v1", "Service")
DEPLOYMENT: Final = ("apps/v1", "Deployment")
NETWORK_POLICY: Final = ("networking.k8s.io/v1", "NetworkPolicy")
LEASE: Final = ("coordination.k8s.io/v1", "Lease")
ENDPOINTS: Final = ("v1", "Endpoints")
CONFIG_MAP: Final = ("v1", "ConfigMap")
SECRET: Final = ("v1", "Secret")
DISRUPTION_BUDGET: Final = ("policy/v1", "PodDisruptionBudget")
MUTATING_WEBHOOK: Final = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
VALIDATING_WEBHOOK: Final = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
CRD: Final = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")

Kind = tuple[str, str]
Object = dict[str, Any]
T = TypeVar("T")


def wait_until(look: Callable[[], T], within_s: float, what: str) -> T:
    """What `look` gives once it is true. AssertionError with the last that was seen otherwise."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s} s; seen last: {found!r}")
        time.sleep(LOOK_EVERY_S)
    return found


class Cluster:
    """The API, by the `kubernetes` package's dynamic client; objects are plain dicts."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.api = config.new_client_from_config(str(kubeconfig))
        self.core = client.CoreV1Api(self.api)
        self.custom = client.CustomObjectsApi(self.api)
        self._dynamic = dynamic.DynamicClient(self.api)

    def apply(self, obj: Object) -> Object:
        """Server-side apply."""
        door = self._door((obj["apiVersion"], obj["kind"]))
        return _plain(
            door.server_side_apply(
                body=obj,
                name=obj["metadata"]["name"],
                namespace=obj["metadata"].get("namespace"),
                field_manager=MANAGER,
                force_conflicts=True,
            )
        )

    def put(self, obj: Object) -> Object:
        """Create it, or put it in the place of what is there; with its status."""
        door = self._door((obj["apiVersion"], obj["kind"]))
        metadata = obj["metadata"]
        where = {"name": metadata["name"], "namespace": metadata.get("namespace")}
        try:
            made = _plain(door.create(body=obj, namespace=where["namespace"]))
        except ApiException as error:
            if error.status != 409:
                raise
            version = _plain(door.get(**where))["metadata"]["resourceVersion"]
            body = {**obj, "metadata": {**metadata, "resourceVersion": version}}
            made = _plain(door.replace(body=body, **where))
        if "status" not in obj:
            return made
        return _plain(
            door.status.patch(
                body={"status": obj["status"]},
                content_type="application/merge-patch+json",
                **where,
            )
        )

    def patch(self, kind: Kind, namespace: str | None, name: str, patch: Object) -> Object:
        """A JSON merge patch."""
        return _plain(
            self._door(kind).patch(
                body=patch,
                name=name,
                namespace=namespace,
                content_type="application/merge-patch+json",
            )
        )

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        try:
            return _plain(self._door(kind).get(name=name, namespace=namespace))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: Kind, namespace: str | None, labels: str | None = None) -> list[Object]:
        found = self._door(kind).get(namespace=namespace, label_selector=labels)
        return list(_plain(found)["items"])

    def delete(
        self, kind: Kind, namespace: str | None, name: str, grace_s: int | None = None
    ) -> None:
        options = {} if grace_s is None else {"body": {"gracePeriodSeconds": grace_s}}
        try:
            self._door(kind).delete(name=name, namespace=namespace, **options)
        except ApiException as error:
            if error.status != 404:
                raise

    def _door(self, kind: Kind) -> Any:
        api_version, name = kind
        return self._dynamic.resources.get(api_version=api_version, kind=name)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The address at which all Services answer, told apart by Host."""

    url: str
    timeout_s: float = 60.0

    @contextmanager
    def open(
        self,
        host: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """A response whose body is still to be read."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "127.0.0.1", address.port or 80, timeout=self.timeout_s
        )
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            response = connection.getresponse()
            try:
                yield response
            finally:
                response.close()
        finally:
            connection.close()

    def ask(self, host: str, path: str = "/", **options: Any) -> Answer:
        """A whole answer."""
        started = time.monotonic()
        with self.open(host, path, **options) as response:
            text = response.read().decode()
            headers = dict(response.getheaders())
        return Answer(response.status, headers, text, time.monotonic() - started)

    def many(self, host: str, path: str, total: int, concurrency: int) -> Tally:
        """Many requests at once."""
        return asyncio.run(fire(Target(self.url, host, path), total, concurrency))


@dataclass(slots=True)
class Wish:
    """A Service as a test wants it. `annotations` go on the template, without their prefix where
    they are autoscaling's.
    """

    name: str = "app"
    revision: str | None = None
    image: str = IMAGE
    annotations: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    spec: Object = field(default_factory=dict)
    traffic: Sequence[Object] | None = None

    def manifest(self, namespace: str) -> Object:
        annotations = {"window": "6s", **self.annotations}
        metadata: Object = {
            "annotations": {
                key if "/" in key else f"autoscaling.knative.dev/{key}": value
                for key, value in annotations.items()
            }
        }
        if self.revision is not None:
            metadata["name"] = self.revision
        env = [{"name": key, "value": value} for key, value in self.env.items()]
        spec = {"containers": [{"image": self.image, "env": env}], **self.spec}
        if self.concurrency is not None:
            spec["containerConcurrency"] = self.concurrency
        whole: Object = {"template": {"metadata": metadata, "spec": spec}}
        if self.traffic is not None:
            whole["traffic"] = list(self.traffic)
        return {
            "apiVersion": SERVING,
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": namespace},
            "spec": whole,
        }


class Deployed:
    """A Service of a test: its state, its pods, and its answers."""

    def __init__(self, cluster: Cluster, gateway: Gateway, namespace: str, name: str) -> None:
        self.cluster = cluster
        self.gateway = gateway
        self.namespace = namespace
        self.name = name

    def object(self) -> Object:
        found = self.cluster.get(SERVICE, self.namespace, self.name)
        assert found is not None, f"Service {self.name} is gone"
        return found

    def ready(self, within_s: float = READY_S) -> Deployed:
        """Wait until it is Ready in its present generation."""
        wait_until(lambda: is_ready(self.object()), within_s, f"Service {self.name} is Ready")
        return self

    def condition(self, kind: str, status: str, within_s: float = READY_S) -> Object:
        """Its condition `kind`, once that has `status`."""
        return wait_for_condition(lambda: self.object(), kind, status, within_s)

    @property
    def host(self) -> str:
        return urlsplit(str(self.object()["status"]["url"])).netloc

    def tag_host(self, tag: str) -> str:
        for entry in self.object()["status"]["traffic"]:
            if entry.get("tag") == tag:
                return urlsplit(str(entry["url"])).netloc
        raise AssertionError(f"no traffic target has the tag {tag!r}")

    def ask(self, path: str = "/", **options: Any) -> Answer:
        return self.gateway.ask(self.host, path, **options)

    def many(self, path: str, total: int, concurrency: int) -> Tally:
        return self.gateway.many(self.host, path, total, concurrency)

    def pods(self) -> list[Object]:
        """Its pods that have not been asked to end."""
        labels = f"serving.knative.dev/service={self.name}"
        listed = self.cluster.list(POD, self.namespace, labels)
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    def all_pods(self) -> list[Object]:
        labels = f"serving.knative.dev/service={self.name}"
        return self.cluster.list(POD, self.namespace, labels)

    def ready_pods(self) -> list[Object]:
        return [pod for pod in self.pods() if condition_of(pod, "Ready").get("status") == "True"]

    def asleep(self, within_s: float = ASLEEP_S) -> Deployed:
        """Wait until it has no pod at all."""
        wait_until(lambda: not self.all_pods(), within_s, f"{self.name} is at zero pods")
        return self


def is_ready(obj: Object) -> bool:
    status = obj.get("status") or {}
    observed = status.get("observedGeneration") == obj["metadata"]["generation"]
    return observed and condition_of(obj, "Ready").get("status") == "True"


def condition_of(obj: Object, kind: str) -> Object:
    """The condition of that type; empty when there is none."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == kind:
            return dict(condition)
    return {}


def wait_for_condition(
    look: Callable[[], Object | None], kind: str, status: str, within_s: float = READY_S
) -> Object:
    seen: Object = {}

    def check() -> bool:
        nonlocal seen
        seen = condition_of(look() or {}, kind)
        return seen.get("status") == status

    try:
        wait_until(check, within_s, f"condition {kind} is {status}")
    except AssertionError as error:
        raise AssertionError(f"{error}; the condition: {json.dumps(seen)}") from None
    return seen


def _plain(answer: Any) -> Object:
    return dict(answer.to_dict())
