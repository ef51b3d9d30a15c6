"""What stands in for a cluster, in a process of its own: `python -m benchmarks.proxy.stand_in`.

A Kubernetes API that lists a few objects and never changes, enough for our activator and for
Knative's; and the collector of the autoscaler, which takes the reports of our proxies. What the API
shows is said by where it is asked: under `/HOST/PORT/CONCURRENCY` there is one Revision with that
containerConcurrency, and one pod with that address.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, Final

from aiohttp import web

from pilotlight import names
from pilotlight.load import wire
from pilotlight.load.keys import revision_key
from pilotlight.load.server import Collector, Session

LOCALHOST: Final = "127.0.0.1"
API_PORT: Final = 18001
REPORT_PORT: Final = 18002
NAMESPACE: Final = "bench"
REVISION: Final = "hello-00001"
UID: Final = "7a1d2f0e-5c0b-4b53-9d0f-3a4a3f6f0c11"
HOST: Final = "hello.bench.localhost"
MASTER: Final = b"m" * 32
KEY: Final = revision_key(MASTER, NAMESPACE, REVISION, UID)
_SERVICE: Final = "hello"
_VERSION: Final = "1"
_WATCH_S: Final = 1800.0
_SERVICE_TYPE: Final = "networking.internal.knative.dev/serviceType"
_CONFIG_MAPS: Final = ("features", "logging", "network", "observability", "tracing")
Json = dict[str, Any]


def main() -> None:
    asyncio.run(_serve())


async def _serve() -> None:
    application = web.Application()
    application.router.add_get("/{host}/{port}/{concurrency}/{path:.*}", _answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await Collector(_Autoscaler()).start(LOCALHOST, REPORT_PORT)
    await web.TCPSite(runner, LOCALHOST, API_PORT).start()
    await asyncio.Event().wait()


class _Autoscaler:
    """Takes what it is told."""

    def key_for(self, greeting: wire.Greeting) -> bytes | None:
        return MASTER if greeting.kind == names.ACTIVATOR else KEY

    def on_greeting(self, session: Session) -> None: ...

    def on_frame(self, session: Session, frame: wire.Frame) -> None: ...

    def on_gone(self, session: Session) -> None: ...


async def _answer(request: web.Request) -> web.StreamResponse:
    place = request.match_info
    parts = place["path"].split("/")
    if parts == ["version"]:
        return web.json_response({"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
    found = objects(place["host"], int(place["port"]), int(place["concurrency"]))
    of_plural = [one for one in found if one.plural in parts[-2:]]
    for one in of_plural:
        if parts[-1] == one.body["metadata"]["name"]:
            return web.json_response(one.body)
    if request.query.get("watch") in {"true", "1"}:
        return await _watch(request)
    if len(parts) > 2 and parts[-2] in {"secrets", "configmaps"}:
        return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
    selector = request.query.get("labelSelector", "")
    items = [one.body for one in of_plural if _selects(selector, one.body)]
    group = "/".join(parts[1:3]) if parts[0] == "apis" else parts[1]
    listed = {
        "kind": f"{items[0]['kind'] if items else 'Any'}List",
        "apiVersion": group,
        "metadata": {"resourceVersion": _VERSION},
        "items": items,
    }
    return web.json_response(listed)


async def _watch(request: web.Request) -> web.StreamResponse:
    """Nothing ever happens."""
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    await asyncio.sleep(float(request.query.get("timeoutSeconds", _WATCH_S)))
    return stream


def _selects(selector: str, obj: Json) -> bool:
    labels = obj["metadata"].get("labels") or {}
    key, _, value = selector.partition("=")
    return not selector or (key in labels and (not value or labels[key] == value))


class Shown:
    """An object, and how the API calls its kind in URLs."""

    def __init__(self, plural: str, version: str, kind: str, metadata: Json, **body: Any) -> None:
        self.plural = plural
        metadata = {"namespace": NAMESPACE, "resourceVersion": _VERSION, "uid": UID, **metadata}
        self.body: Json = {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def objects(host: str, port: int, concurrency: int) -> list[Shown]:
    """The Revision, how it is reached, and its pod; and what the system needs."""
    return [
        _revision(concurrency),
        _ingress(),
        *_pod_for_us(host, port),
        *_pod_for_knative(host, port),
        _secret(),
        *(_config_map(name) for name in _CONFIG_MAPS),
    ]


def _revision(concurrency: int) -> Shown:
    return Shown(
        "revisions",
        "serving.knative.dev/v1",
        "Revision",
        {"name": REVISION, "labels": {names.SERVICE_LABEL: _SERVICE}},
        spec={
            "containerConcurrency": concurrency,
            "timeoutSeconds": 300,
            "containers": [{"name": "user-container", "image": "hello"}],
        },
    )


def _ingress() -> Shown:
    split = {
        "serviceNamespace": NAMESPACE,
        "serviceName": REVISION,
        "servicePort": 80,
        "percent": 100,
        "appendHeaders": {
            "Knative-Serving-Revision": REVISION,
            "Knative-Serving-Namespace": NAMESPACE,
        },
    }
    rule = {
        "hosts": [HOST],
        "visibility": "ExternalIP",
        "http": {"paths": [{"splits": [split]}]},
    }
    annotations = {names.INGRESS_CLASS_ANNOTATION: names.INGRESS_CLASS}
    return Shown(
        "ingresses",
        "networking.internal.knative.dev/v1alpha1",
        "Ingress",
        {"name": _SERVICE, "annotations": annotations},
        spec={"rules": [rule]},
    )


def _pod_for_us(host: str, port: int) -> list[Shown]:
    private = names.private_service_name(REVISION)
    labels = {names.REVISION_LABEL: REVISION, names.ENDPOINT_SLICE_SERVICE_LABEL: private}
    endpoint = {
        "addresses": [host],
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": "pod-1"},
    }
    return [
        Shown(
            "endpointslices",
            "discovery.k8s.io/v1",
            "EndpointSlice",
            {"name": f"{private}-1", "labels": labels},
            addressType="IPv4",
            ports=[{"name": "http", "port": port, "protocol": "TCP"}],
            endpoints=[endpoint],
        )
    ]


def _pod_for_knative(host: str, port: int) -> list[Shown]:
    private = names.private_service_name(REVISION)
    labels = {
        names.REVISION_LABEL: REVISION,
        names.REVISION_UID_LABEL: UID,
        _SERVICE_TYPE: "Private",
    }
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    metadata = {"name": private, "labels": labels}
    return [
        Shown(
            "endpoints",
            "v1",
            "Endpoints",
            metadata,
            subsets=[{"addresses": [{"ip": host}], "ports": ports}],
        ),
        Shown("services", "v1", "Service", metadata, spec={"clusterIP": host, "ports": ports}),
    ]


def _secret() -> Shown:
    data = {names.KEYS_SECRET_FIELD: base64.b64encode(MASTER.hex().encode()).decode()}
    metadata = {"name": names.KEYS_SECRET, "namespace": names.SYSTEM_NAMESPACE}
    return Shown("secrets", "v1", "Secret", metadata, data=data)


def _config_map(name: str) -> Shown:
    metadata = {"name": f"config-{name}", "namespace": names.SYSTEM_NAMESPACE}
    return Shown("configmaps", "v1", "ConfigMap", metadata, data={})


def kubeconfig(host: str, port: int, concurrency: int) -> str:
    """For who is to see a pod at this address."""
    server = f"http://{LOCALHOST}:{API_PORT}/{host}/{port}/{concurrency}"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": server}}],
            "users": [{"name": "it", "user": {}}],
        }
    )


if __name__ == "__main__":
    main()
