"""What the tests of the API server share: a running server, fake logs, and makers of objects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.podlog import LogRequest
from pilotlight_local.apiserver.server import ApiServer

Object = dict[str, Any]
TOKEN = "sesame"


class FakeLogs:
    """Three lines of log, and a note of what was asked."""

    def __init__(self) -> None:
        self.asked: list[LogRequest] = []

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.asked.append(request)
        lines = [b"one\n", b"two\n", b"three\n"]
        for line in lines[-request.tail :] if request.tail else lines:
            yield line


@dataclass
class Running:
    """A running server and a client of it."""

    server: ApiServer
    session: aiohttp.ClientSession
    logs: FakeLogs

    @property
    def cluster(self) -> Cluster:
        return self.server.cluster

    async def call(
        self, method: str, path: str, body: Any = None, status: int | None = None, **headers: str
    ) -> Any:
        """The decoded answer; `status` is asserted when it is given."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, json=body, headers=names) as response:
            answer = await response.json(content_type=None)
            if status is not None:
                assert response.status == status, answer
            return answer


@dataclass
class Secured:
    """A server with TLS, and the kubeconfig that leads to it."""

    server: ApiServer
    config: Path
    logs: FakeLogs


def make_deployment(name: str = "web", **spec: Any) -> Object:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def make_pod(name: str = "pod", namespace: str = "default", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }


def make_crd(schema: Object, **version: Any) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "lamps.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "lamps", "kind": "Lamp", "shortNames": ["lp"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": schema}},
                    **version,
                }
            ],
        },
    }
