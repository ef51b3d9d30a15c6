"""Nothing is lost, whatever is done to the system under load.

The tests share one load, and go on from each other; each fails with the requests that were lost up
to its end, the last with all. `make soak` does everything as often as the project promises it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import pytest

from e2e.harness import DEPLOYMENT, SLOW, SYSTEM, Object, condition_of, wait_until
from e2e.soak.conftest import (
    AWAY_S,
    DELETIONS,
    RATE,
    RESTARTS,
    ROLL_OUTS,
    ROLLING,
    SCALE_DOWNS,
    SLEEPER,
    STEADY,
    Soak,
)
from e2e.soak.disturb import (
    SETTLED_S,
    ApiSwitch,
    delete_pod,
    is_rolled_out,
    kill,
    pods_of,
    processes_of,
    restart,
    roll_out,
    watch_gateway,
)
from e2e.soak.ledger import NOTICED_S
from e2e.soak.load import LONG_S, SHORT, Flow
from pilotlight.cli.instance import LocalInstance

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

COMPONENTS: Final = ("operator", "autoscaler", "activator")
CALM_S: Final = 3.0
AWAY_AFTER_KILL_S: Final = 5.0 * SLOW
"""How long connections to a killed activator's address may be refused on a cluster, until that is
taken out of the gateway's Service or answers again. Local mode keeps the gateway's sockets."""


def test_roll_outs(soak: Soak) -> None:
    service = soak.service(ROLLING)
    for number in range(ROLL_OUTS):
        roll_out(soak.ledger, service, replace(ROLLING, env={"VERSION": str(number)}))
        time.sleep(CALM_S)
    soak.check()


def test_pod_deletions(soak: Soak) -> None:
    for number in range(DELETIONS):
        delete_pod(soak.ledger, soak.service((STEADY, ROLLING)[number % 2]))
        time.sleep(CALM_S)
    soak.check()


@pytest.mark.parametrize("component", COMPONENTS)
def test_restarts(soak: Soak, component: str) -> None:
    for _ in range(RESTARTS):
        restart(soak.ledger, soak.cluster, component)
        time.sleep(CALM_S)
    soak.check()


def test_scale_downs(soak: Soak) -> None:
    wait_until(lambda: soak.tide.scale_downs >= SCALE_DOWNS, 3000.0, f"{SCALE_DOWNS} scale-downs")
    assert soak.tide.largest > 2, "the load has not risen and fallen enough to mean something"
    soak.check()


def test_the_api_server_is_away(
    soak: Soak, api_switch: ApiSwitch, local: LocalInstance | None
) -> None:
    sleeper = soak.service(SLEEPER).ready().asleep()
    asking = Flow(SHORT, sleeper.host, SLEEPER.name, 0.0)
    soak.load.add(asking)
    activators = pods_of(soak.cluster, "activator")
    with api_switch.away(soak.ledger):
        asking.per_s = 1.0
        time.sleep(AWAY_S)
    if local is None:
        watch_gateway(soak.ledger, soak.gateway, activators)
    wait_until(lambda: sleeper.ready_pods(), 15.0, "the sleeping Service is awake")
    asking.per_s = 0.0
    roll_out(soak.ledger, soak.service(ROLLING), replace(ROLLING, env={"VERSION": "back"}))
    soak.check()


@pytest.mark.parametrize("word", ["app.py", "pilotlight_queue_proxy"], ids=["app", "queue-proxy"])
def test_a_killed_container_fails_only_what_was_in_it(soak: Soak, word: str) -> None:
    service = soak.service(STEADY)
    pod = wait_until(service.ready_pods, SETTLED_S, "a ready pod")[0]
    kill(soak.ledger, process_of(pod, word), word, legs=("app",))
    name = pod["metadata"]["name"]

    def is_back() -> bool:
        found = next(each for each in service.pods() if each["metadata"]["name"] == name)
        restarts = sum(each["restartCount"] for each in found["status"]["containerStatuses"])
        return restarts > 0 and condition_of(found, "Ready").get("status") == "True"

    wait_until(is_back, SETTLED_S, f"{name} is ready again")
    time.sleep(NOTICED_S)
    soak.check()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_killed_component_fails_only_what_was_in_it(
    soak: Soak, local: LocalInstance | None, component: str
) -> None:
    module = f"pilotlight_{component}"
    pid = process_of(pods_of(soak.cluster, component)[0], module)
    if component == "activator":
        # What it held can only be told by the end of its connections.
        away_s = AWAY_AFTER_KILL_S if local is None else 0.0
        kill(soak.ledger, pid, component, ("",), away_s)
    else:
        kill(soak.ledger, pid, component)
    wait_until(
        lambda: (
            is_rolled_out(soak.cluster.get(DEPLOYMENT, SYSTEM, component))
            and all(process_of(pod, module) != pid for pod in pods_of(soak.cluster, component))
        ),
        SETTLED_S,
        f"the {component} is back",
    )
    time.sleep(NOTICED_S)
    soak.check()


def process_of(pod: Object, word: str) -> int:
    """The process of a pod whose command line has `word` in it, once there is one."""

    def look() -> list[int]:
        return [pid for pid, line in processes_of(pod).items() if word in line]

    return wait_until(look, SETTLED_S, f"a process {word} of {pod['metadata']['name']}")[0]


def test_nothing_was_lost(soak: Soak) -> None:
    soak.load.stop()
    wait_until(lambda: soak.load.under_way == 0, 4 * LONG_S[1], "all requests have ended")
    soak.check()
    assert len(soak.ledger.records) > RATE
