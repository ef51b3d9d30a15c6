"""Pods as real processes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from pilotlight.kube.resources import CONFIG_MAPS, PODS, SECRETS
from pilotlight_local.kubelet.logs import LogOptions

if TYPE_CHECKING:
    from .conftest import Rig

NAMESPACE = "test"
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
SERVER = """
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if pathlib.Path("healthy").exists() else 503)
        self.end_headers()
        print(self.path, self.headers["user-agent"], flush=True)
    def log_message(self, *_): pass
server = http.server.HTTPServer((os.environ["PILOTLIGHT_BIND"], 8099), Handler)
server.serve_forever()
"""


def main(image: str, **more: Any) -> dict[str, Any]:
    return {"name": "main", "image": image, **more}


async def test_a_pod_runs_and_says_so(rig: Rig) -> None:
    await rig.create("a", main(rig.image("app", SLEEP)))
    await rig.until(lambda: rig.is_ready("a"))
    pod = rig.pod("a")
    assert pod is not None
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["podIP"].startswith(f"127.{rig.node.network.number}.")
    assert status["hostIP"] == rig.node.network.node_address
    assert pod["spec"]["nodeName"] == "local"
    container = rig.container("a")
    assert container["ready"]
    assert container["started"]
    assert container["restartCount"] == 0
    await rig.until(lambda: "Started" in dict(rig.events("a")))
    assert {"Scheduled", "Pulled", "Created"} <= set(dict(rig.events("a")))


async def test_environment(rig: Rig) -> None:
    await rig.cluster.create(
        CONFIG_MAPS, {"metadata": {"name": "c", "namespace": NAMESPACE}, "data": {"k": "v"}}
    )
    secret = {"s": base64.b64encode(b"secret").decode()}
    await rig.cluster.create(
        SECRETS, {"metadata": {"name": "s", "namespace": NAMESPACE}, "data": secret}
    )
    code = f"import json, os; print(json.dumps(dict(os.environ)), flush=True); {SLEEP}"
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(K)$$(A)$(NONE)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "s"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]
    source = [{"configMapRef": {"name": "c"}, "prefix": "P_"}]
    await rig.create("a", main(rig.image("app", code, env={"I": "i"}), env=env, envFrom=source))
    await rig.until(lambda: rig.is_ready("a"))
    await rig.until_output("a", "up")
    told = json.loads(rig.output("a").splitlines()[0])
    address = rig.pod("a")["status"]["podIP"]  # type: ignore[index]
    assert told["B"] == "1$(K)$(A)$(NONE)"
    assert (told["IP"], told["PILOTLIGHT_BIND"]) == (address, address)
    assert (told["APP"], told["KEY"], told["SECRET"]) == ("a", "v", "secret")
    assert (told["CPU"], told["P_k"], told["I"], told["HOSTNAME"]) == ("2", "v", "i", "a")
    assert "HOME" not in told


async def test_a_missing_key_is_waited_for(rig: Rig) -> None:
    reference = {"configMapKeyRef": {"name": "late", "key": "k"}}
    await rig.create(
        "a", main(rig.image("app", SLEEP), env=[{"name": "K", "valueFrom": reference}])
    )
    await rig.until(lambda: rig.reason("a") == "CreateContainerConfigError")
    assert "late" in rig.container("a")["state"]["waiting"]["message"]
    begun = time.monotonic()
    await rig.cluster.create(
        CONFIG_MAPS, {"metadata": {"name": "late", "namespace": NAMESPACE}, "data": {"k": "v"}}
    )
    await rig.until(lambda: rig.is_ready("a"))
    assert time.monotonic() - begun < 2, "it was told, and did not poll"


async def test_an_unknown_image_says_what_to_do(rig: Rig) -> None:
    await rig.create("a", main("dev.local/none"))
    await rig.until(lambda: rig.reason("a") == "ErrImagePull")
    assert "images.yaml" in rig.container("a")["state"]["waiting"]["message"]
    await rig.until(lambda: rig.reason("a") == "ImagePullBackOff")
    assert rig.pod("a")["status"]["phase"] == "Pending"  # type: ignore[index]
    rig.image("dev.local-none", SLEEP)
    path = rig.directory / "images.yaml"
    path.write_text(path.read_text().replace("dev.local-none:", "dev.local/none:", 1))
    await rig.until(lambda: rig.is_ready("a"))


async def test_the_annotation_says_what_to_run(rig: Rig) -> None:
    rig.image("app", SLEEP)
    what = {"directory": str(rig.directory / "app"), "command": ["python3", "main.py"]}
    annotations = {"local.pilotlight.dev/run": json.dumps(what)}
    await rig.create("a", main("whatever"), annotations=annotations)
    await rig.until(lambda: rig.is_ready("a"))
    await rig.until_output("a", "up")


async def test_crashes_back_off_and_tell_why(rig: Rig) -> None:
    code = "import sys; print('sorry'); sys.exit(7)"
    image = rig.image("app", code)
    await rig.create("a", main(image, terminationMessagePolicy="FallbackToLogsOnError"))
    await rig.until(lambda: rig.reason("a") == "CrashLoopBackOff")
    container = rig.container("a")
    last = container["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (7, "Error", "sorry\n")
    assert container["restartCount"] >= 1
    assert rig.pod("a")["status"]["phase"] == "Running"  # type: ignore[index]
    await rig.until(lambda: "BackOff" in dict(rig.events("a")))
    rig.image("app", SLEEP)
    await rig.until(lambda: rig.is_ready("a"))


async def test_a_command_that_is_not_there(rig: Rig) -> None:
    await rig.create("a", main(rig.image("app", ""), command=["no-such-program"]))
    await rig.until(lambda: rig.container("a").get("lastState"))
    last = rig.container("a")["lastState"]["terminated"]
    assert last["reason"] == "StartError"
    assert "no-such-program" in last["message"]


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
async def test_pods_that_end(rig: Rig, policy: str, code: int, phase: str) -> None:
    image = rig.image("app", f"import sys; sys.exit({code})")
    await rig.create("a", main(image), restartPolicy=policy)
    await rig.until(lambda: (rig.pod("a") or {}).get("status", {}).get("phase") == phase)
    assert rig.container("a")["state"]["terminated"]["exitCode"] == code
    await rig.delete("a")


async def test_killed_by_a_signal(rig: Rig) -> None:
    image = rig.image("app", "import os; os.kill(os.getpid(), 9)")
    await rig.create("a", main(image), restartPolicy="Never")
    await rig.until(lambda: rig.state("a") == "terminated")
    terminated = rig.container("a")["state"]["terminated"]
    assert (terminated["exitCode"], terminated["signal"]) == (137, 9)


async def test_init_containers_run_one_after_the_other(rig: Rig) -> None:
    code = "import os, time; time.sleep(0.05); open(os.environ['F'], 'a').write(os.environ['N'])"
    trace = rig.directory / "trace"
    image = rig.image("init", code)

    def step(name: str) -> dict[str, Any]:
        env = [{"name": "F", "value": str(trace)}, {"name": "N", "value": name}]
        return {"name": f"i{name}", "image": image, "env": env}

    await rig.create(
        "a",
        {**step("c"), "name": "main", "command": ["sh", "-c", 'printf c >> "$F"; sleep 600']},
        initContainers=[step("a"), step("b")],
    )
    await rig.until(lambda: rig.is_ready("a"))
    deadline = time.monotonic() + 5
    while trace.read_text() != "abc":
        assert time.monotonic() < deadline, trace.read_text()
        await asyncio.sleep(0.01)
    inits = rig.pod("a")["status"]["initContainerStatuses"]  # type: ignore[index]
    assert [i["state"]["terminated"]["reason"] for i in inits] == ["Completed", "Completed"]
    await rig.delete("a", 0)


async def test_a_failing_init_container_holds_the_rest(rig: Rig) -> None:
    bad = {"name": "init", "image": rig.image("bad", "raise SystemExit(1)")}
    await rig.create("a", main(rig.image("app", SLEEP)), initContainers=[bad])
    await rig.until(
        lambda: any(
            s["restartCount"] >= 1
            for s in (rig.pod("a") or {}).get("status", {}).get("initContainerStatuses", [])
        )
    )
    assert rig.reason("a") == "PodInitializing"
    await rig.delete("a")


async def test_readiness_comes_and_goes(rig: Rig) -> None:
    probe = {"httpGet": {"path": "/h", "port": 8099}, "periodSeconds": 1, "failureThreshold": 1}
    image = rig.image("app", SERVER)
    healthy = rig.directory / "app" / "healthy"
    await rig.create("a", main(image, readinessProbe=probe))
    await rig.until(lambda: rig.state("a") == "running")
    assert not rig.is_ready("a")
    begun = time.monotonic()
    healthy.touch()
    await rig.until(lambda: rig.is_ready("a"))
    assert time.monotonic() - begun < 0.5, "it is looked at often until it passes once"
    healthy.unlink()
    await rig.until(lambda: not rig.is_ready("a"))
    await rig.until(lambda: "Unhealthy" in dict(rig.events("a")))
    assert "/h kube-probe/" in rig.output("a")


async def test_liveness_restarts(rig: Rig) -> None:
    probe = {"httpGet": {"port": 8099}, "periodSeconds": 1, "failureThreshold": 1}
    await rig.create("a", main(rig.image("app", SERVER), livenessProbe=probe))
    await rig.until(lambda: rig.container("a").get("restartCount", 0) >= 1)
    await rig.until(lambda: "Killing" in dict(rig.events("a")))
    assert rig.container("a")["lastState"]["terminated"]["exitCode"] == 143


async def test_startup_probe_comes_before_readiness(rig: Rig) -> None:
    image = rig.image("app", SLEEP)
    flag = rig.directory / "flag"
    probe = {"exec": {"command": ["test", "-e", str(flag)]}, "periodSeconds": 5}
    await rig.create("a", main(image, startupProbe=probe))
    await rig.until(lambda: rig.state("a") == "running")
    assert rig.container("a")["started"] is False
    flag.touch()
    await rig.until(lambda: rig.is_ready("a"))
    assert rig.container("a")["started"] is True


async def test_orderly_end(rig: Rig) -> None:
    code = """
import signal, sys, time
def end(*_):
    print("ending", flush=True); time.sleep(0.2); print("ended", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, end); print("up", flush=True); time.sleep(600)
"""
    trace = rig.directory / "trace"
    hook = {"exec": {"command": ["sh", "-c", f"echo hook > {trace}"]}}
    await rig.create("a", main(rig.image("app", code), lifecycle={"preStop": hook}))
    await rig.until(lambda: rig.is_ready("a"))
    await rig.until_output("a", "up")
    phases: list[str] = []

    def on_pod(_: str, obj: dict[str, Any], __: object) -> None:
        phases.append(obj["status"]["phase"])

    rig.cluster.subscribe(PODS, on_pod)
    await rig.delete("a")
    assert phases[-1] == "Succeeded"
    assert trace.read_text() == "hook\n"


async def test_grace_ends_with_a_kill(rig: Rig) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    await rig.create("a", main(rig.image("app", code + SLEEP)))
    await rig.until(lambda: rig.is_ready("a"))
    await rig.until_output("a", "up")
    begun = time.monotonic()
    await rig.delete("a", 1)
    assert 0.9 < time.monotonic() - begun < 3


async def test_a_shorter_grace_is_heard(rig: Rig) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    await rig.create("a", main(rig.image("app", code + SLEEP)))
    await rig.until(lambda: rig.is_ready("a"))
    await rig.cluster.delete(PODS, NAMESPACE, "a", grace=600)
    begun = time.monotonic()
    await rig.delete("a", 0)
    assert time.monotonic() - begun < 1


async def test_a_killed_process_is_started_again(rig: Rig) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    await rig.create("a", main(rig.image("app", code)))
    await rig.until(lambda: rig.is_ready("a"))
    deadline = time.monotonic() + 5
    while not rig.output("a").strip():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    os.kill(int(rig.output("a")), signal.SIGKILL)
    begun = time.monotonic()
    await rig.until(lambda: rig.container("a").get("restartCount") == 1 and rig.is_ready("a"))
    assert time.monotonic() - begun < 1


async def test_volumes_are_directories(rig: Rig) -> None:
    await rig.cluster.create(
        CONFIG_MAPS, {"metadata": {"name": "c", "namespace": NAMESPACE}, "data": {"k": "v"}}
    )
    code = """
import os, pathlib, time
print(pathlib.Path(os.environ["PILOTLIGHT_MOUNT_CONFIG"], "k").read_text(), end=" ")
print(pathlib.Path(os.environ["PILOTLIGHT_MOUNT_INFO"], "labels").read_text(), end=" ")
pathlib.Path(os.environ["PILOTLIGHT_MOUNT_SCRATCH_1"], "x").write_text("x")
print("done", flush=True); time.sleep(600)
"""
    mounts = [{"name": n, "mountPath": f"/{n}"} for n in ("config", "info", "scratch-1")]
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    volumes = [
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "info", "downwardAPI": {"items": [item]}},
        {"name": "scratch-1", "emptyDir": {}},
    ]
    pod = await rig.create("a", main(rig.image("app", code), volumeMounts=mounts), volumes=volumes)
    await rig.until(lambda: rig.is_ready("a"))
    await rig.until_output("a", "done")
    assert rig.output("a") == 'v app="a" done'
    await rig.delete("a", 0)
    assert not (rig.directory / "pods" / pod["metadata"]["uid"]).exists()
    assert not (rig.directory / "logs" / pod["metadata"]["uid"]).exists()


async def test_a_volume_that_is_not_there_is_waited_for(rig: Rig) -> None:
    volumes = [{"name": "v", "configMap": {"name": "late"}}]
    await rig.create("a", main(rig.image("app", SLEEP)), volumes=volumes)
    await rig.until(lambda: "FailedMount" in dict(rig.events("a")))
    assert rig.reason("a") == "ContainerCreating"
    await rig.cluster.create(
        CONFIG_MAPS, {"metadata": {"name": "late", "namespace": NAMESPACE}, "data": {"k": "v"}}
    )
    await rig.until(lambda: rig.is_ready("a"))


async def test_logs_are_followed_to_their_end(rig: Rig) -> None:
    code = "import time\nfor i in range(5): print('line', i, flush=True); time.sleep(0.05)"
    pod = await rig.create("a", main(rig.image("app", code)), restartPolicy="Never")
    await rig.until(lambda: rig.state("a") in ("running", "terminated"))
    uid = pod["metadata"]["uid"]
    pieces = [p async for p in rig.node.logs.read(uid, "main", LogOptions(follow=True))]
    assert b"".join(pieces) == b"".join(b"line %d\n" % i for i in range(5))
    tail = [p async for p in rig.node.logs.read(uid, "main", LogOptions(tail=2))]
    assert b"".join(tail) == b"line 3\nline 4\n"


async def test_a_name_is_used_again(rig: Rig) -> None:
    image = rig.image("app", SLEEP)
    first = await rig.create("a", main(image))
    await rig.until(lambda: rig.is_ready("a"))
    address = rig.pod("a")["status"]["podIP"]  # type: ignore[index]
    await rig.delete("a", 0)
    second = await rig.create("a", main(image))
    await rig.until(lambda: rig.is_ready("a"))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert rig.pod("a")["status"]["podIP"] != address  # type: ignore[index]


async def test_create_to_exec_is_quick(rig: Rig) -> None:
    image = rig.image("app", "")
    times = []
    for number in range(8):
        name = f"p{number}"
        command = ["/bin/sh", "-c", "date +%s.%N; sleep 600"]
        begun = time.time()
        await rig.create(name, main(image, command=command))
        await rig.until_output(name, ".")
        times.append(float(rig.output(name).split()[0]) - begun)
        await rig.delete(name, 0)
    assert sorted(times)[len(times) // 2] < 0.05, times
