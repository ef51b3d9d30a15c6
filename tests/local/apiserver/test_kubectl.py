"""A real kubectl."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pilotlight.kube.resources import DEPLOYMENTS
from tests.local.apiserver.harness import Secured

Object = dict[str, Any]
Kubectl = Callable[..., Coroutine[Any, Any, str]]

pytestmark = pytest.mark.kubectl


@pytest.fixture
def kubectl(secured: Secured, tmp_path: Path) -> Kubectl:
    """Runs kubectl; its output is returned, and its exit code asserted."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(secured.config),
        "KUBECACHEDIR": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }

    async def run(*arguments: str, stdin: Object | str = "", code: int = 0, **env: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment | env,
        )
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        async with asyncio.timeout(30):
            output, _ = await process.communicate(text.encode())
        assert process.returncode == code, output.decode()
        return output.decode()

    return run


async def test_applying_from_the_client(
    kubectl: Kubectl, deployment: Callable[..., Object]
) -> None:
    assert "created" in await kubectl("apply", "-f", "-", stdin=deployment(replicas=1))
    assert "unchanged" in await kubectl("apply", "-f", "-", stdin=deployment(replicas=1))
    diff = await kubectl("diff", "-f", "-", stdin=deployment(replicas=4), code=1)
    assert "+  replicas: 4" in diff
    assert "configured" in await kubectl("apply", "-f", "-", stdin=deployment(paused=True))
    spec = json.loads(await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec}"))
    # What the last configuration had and this one lacks is gone, back to its default.
    assert (spec["replicas"], spec["paused"]) == (1, True)


async def test_applying_on_the_server(kubectl: Kubectl, deployment: Callable[..., Object]) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in await kubectl(*apply, stdin=deployment(replicas=1))
    other = (*apply, "--field-manager=other")
    refused = await kubectl(*other, stdin=deployment(replicas=2), code=1)
    assert 'conflict with "kubectl": .spec.replicas' in refused
    await kubectl(*other, "--force-conflicts", stdin=deployment(replicas=2))
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"


async def test_from_client_side_to_server_side(
    kubectl: Kubectl, deployment: Callable[..., Object]
) -> None:
    await kubectl("apply", "-f", "-", stdin=deployment(replicas=1))
    await kubectl("apply", "--server-side", "-f", "-", stdin=deployment(replicas=3))
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "3"


async def test_mistakes_are_told(kubectl: Kubectl, deployment: Callable[..., Object]) -> None:
    bad = deployment(replcas=1)
    text = await kubectl("apply", "-f", "-", stdin=bad, code=1)
    assert 'strict decoding error: unknown field "spec.replcas"' in text
    assert "Warning: unknown field" in await kubectl(
        "apply", "-f", "-", "--validate=warn", stdin=bad
    )
    text = await kubectl("apply", "-f", "-", stdin=deployment("Big"), code=1)
    assert 'The Deployment "Big" is invalid' in text
    text = await kubectl("get", "deploy", "none", code=1)
    assert text == 'Error from server (NotFound): deployments.apps "none" not found\n'
    text = await kubectl("get", "lamps", code=1)
    assert 'the server doesn\'t have a resource type "lamps"' in text
    unknown = {"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "a"}}
    assert 'no matches for kind "Lamp"' in await kubectl("apply", "-f", "-", stdin=unknown, code=1)


async def test_patching_and_editing(
    kubectl: Kubectl, deployment: Callable[..., Object], secured: Secured
) -> None:
    await kubectl("create", "-f", "-", stdin=deployment())
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:2"}]}}}}'
    await kubectl("patch", "deploy", "web", "-p", strategic)
    await kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    replace = '[{"op":"replace","path":"/spec/replicas","value":3}]'
    await kubectl("patch", "deploy", "web", "--type=json", "-p", replace)
    await kubectl("scale", "deploy", "web", "--replicas=5", "--current-replicas=3")
    await kubectl("label", "deploy", "web", "tier=front")
    await kubectl("annotate", "deploy", "web", "note=hello")
    await kubectl("set", "image", "deploy/web", "main=app:3")
    await kubectl("edit", "deploy", "web", EDITOR="sed -i s/app:3/app:4/")
    made = secured.server.cluster.get(DEPLOYMENTS, "default", "web")
    assert made is not None
    assert made["spec"]["replicas"] == 5
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "app:4"
    assert made["metadata"]["labels"] == {"tier": "front"}
    assert made["metadata"]["annotations"] == {"note": "hello"}
    assert made["metadata"]["generation"] == 7


async def test_looking(
    kubectl: Kubectl, deployment: Callable[..., Object], secured: Secured
) -> None:
    await kubectl("create", "-f", "-", stdin=deployment())
    status = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    conditions = [{"type": "Available", "status": "True"}]
    patch = {"status": {**status, "observedGeneration": 1, "conditions": conditions}}
    await secured.server.cluster.patch(DEPLOYMENTS, "default", "web", patch, subresource="status")
    lines = (await kubectl("get", "deploy")).splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:4] == ["web", "1/1", "1", "1"]
    assert "app=web" in await kubectl("get", "deploy", "-o", "wide")
    assert "deployment.apps/web" in await kubectl("get", "all")
    described = await kubectl("describe", "deploy", "web")
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in described
    await kubectl("wait", "--for=condition=Available", "deploy/web", "--timeout=5s")
    await kubectl("wait", "--for=jsonpath={.status.replicas}=1", "deploy/web", "--timeout=5s")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deploy/web")
    assert "deployments" in await kubectl("api-resources")
    explained = await kubectl("explain", "deploy.spec.template.spec.containers.image")
    assert "FIELD: image <string>" in explained
    assert await kubectl("auth", "can-i", "delete", "pods") == "yes\n"


async def test_watching(
    kubectl: Kubectl,
    deployment: Callable[..., Object],
    secured: Secured,
    eventually: Callable[..., Any],
) -> None:
    await kubectl("create", "-f", "-", stdin=deployment())
    watching = asyncio.create_task(
        kubectl("get", "deploy", "-w", "--request-timeout=3s", "--output-watch-events")
    )
    deleting = asyncio.create_task(kubectl("wait", "--for=delete", "deploy/web", "--timeout=20s"))
    await eventually(lambda: len(secured.server._handlers.watchers) == 2, 10)
    await kubectl("scale", "deploy", "web", "--replicas=3")
    await kubectl("delete", "deploy", "web")
    await deleting
    events = [line.split()[0] for line in (await watching).splitlines()]
    assert events == ["EVENT", "ADDED", "MODIFIED", "DELETED"]


async def test_creating_by_word(kubectl: Kubectl) -> None:
    for arguments in (
        "namespace team",
        "configmap c --from-literal=a=b",
        "secret generic s --from-literal=a=b",
        "serviceaccount sa",
        "deployment d --image=app --replicas=2 --port=80",
        "service clusterip d --tcp=80:8080",
        "role r --verb=get --resource=pods",
        "rolebinding rb --role=r --serviceaccount=default:sa",
        "clusterrole cr --verb=* --resource=pods",
        "quota q --hard=pods=1",
        "job j --image=app",
        "cronjob cj --image=app --schedule=*/5_*_*_*_*",
        "poddisruptionbudget pdb --selector=a=b --min-available=1",
        "priorityclass pc --value=5",
        "ingress ing --rule=a.example/*=svc:80",
    ):
        words = [word.replace("_", " ") for word in arguments.split()]
        assert "created" in await kubectl("create", *words)
    assert await kubectl("get", "secret", "s", "-o", "jsonpath={.data.a}") == "Yg=="
    assert (await kubectl("create", "token", "sa")).startswith("default/sa.")
    await kubectl("run", "p", "--image=app", "--port=80")
    await kubectl("expose", "pod", "p", "--name=p", "--port=80")
    await kubectl("delete", "pod", "p", "--now")
    await kubectl("delete", "all", "--all")
    await kubectl("delete", "namespace", "team", "--timeout=10s")


async def test_logs(kubectl: Kubectl, secured: Secured, pod: Callable[..., Object]) -> None:
    await kubectl("create", "-f", "-", stdin=pod())
    assert await kubectl("logs", "pod") == "one\ntwo\nthree\n"
    assert await kubectl("logs", "pod", "-f", "--tail=1", "--timestamps") == "three\n"
    assert secured.logs.asked[-1].timestamps
    refused = await kubectl("logs", "pod", "-c", "x", code=1)
    assert refused == "error: container x is not valid for pod pod\n"


async def test_custom_resources(kubectl: Kubectl, crd: Callable[..., Object]) -> None:
    schema = {
        "spec": {
            "type": "object",
            "description": "What is wanted of a lamp.",
            "required": ["watts"],
            "properties": {"watts": {"type": "integer", "maximum": 100}},
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    column = {"name": "Watts", "type": "integer", "jsonPath": ".spec.watts"}
    definition = crd(schema, subresources={"status": {}}, additionalPrinterColumns=[column])
    await kubectl("apply", "-f", "-", stdin=definition)
    await kubectl("wait", "--for=condition=Established", "crd/lamps.example.com")

    def lamp(**spec: Any) -> Object:
        metadata = {"name": "a"}
        return {
            "apiVersion": "example.com/v1",
            "kind": "Lamp",
            "metadata": metadata,
            "spec": spec,
        }

    await kubectl("apply", "-f", "-", stdin=lamp(watts=60))
    assert "configured" in await kubectl("apply", "-f", "-", stdin=lamp(watts=61))
    lines = (await kubectl("get", "lp")).splitlines()
    assert [line.split() for line in lines] == [["NAME", "WATTS"], ["a", "61"]]
    refused = await kubectl("apply", "-f", "-", stdin=lamp(watts=500), code=1)
    assert (
        'The Lamp "a" is invalid: spec.watts: Invalid value: 500: spec.watts in body should be'
        " less than or equal to 100" in refused
    )
    refused = await kubectl("apply", "-f", "-", stdin=lamp(watts=1, colour="red"), code=1)
    assert 'unknown field "spec.colour"' in refused
    assert "What is wanted of a lamp." in await kubectl("explain", "lamps.spec")
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=lamp(watts=1))
    await kubectl("delete", "lp", "a")
    await kubectl("delete", "crd", "lamps.example.com")
