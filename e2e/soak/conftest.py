"""The fixtures of the soak test: Services under load, and what may be done to them.

Environment: `PILOTLIGHT_SOAK_RATE` (requests a second), `_SCALE_DOWNS`, `_ROLL_OUTS`, `_DELETIONS`,
`_RESTARTS` (of each component), `_AWAY_S` (the API server); `PILOTLIGHT_E2E_API_STOP` and `_CONT`
are commands that take the API server of a cluster away and bring it back.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from e2e.harness import Cluster, Deployed, Gateway, Wish
from e2e.soak.disturb import HALF_S, ApiSwitch, Swing, Tide
from e2e.soak.ledger import Ledger
from e2e.soak.load import ECHO, SHORT, SLEEP, STREAM, WEBSOCKET, Flow, Load
from pilotlight.cli.instance import LocalInstance

RATE: Final = float(os.environ.get("PILOTLIGHT_SOAK_RATE", "100"))
SCALE_DOWNS: Final = int(os.environ.get("PILOTLIGHT_SOAK_SCALE_DOWNS", "8"))
ROLL_OUTS: Final = int(os.environ.get("PILOTLIGHT_SOAK_ROLL_OUTS", "4"))
DELETIONS: Final = int(os.environ.get("PILOTLIGHT_SOAK_DELETIONS", "4"))
RESTARTS: Final = int(os.environ.get("PILOTLIGHT_SOAK_RESTARTS", "1"))
AWAY_S: Final = float(os.environ.get("PILOTLIGHT_SOAK_AWAY_S", "60"))
SWINGS: Final = 2

# All have a limit: on a machine that is too slow for the load, more pods make it slower.
STEADY: Final = Wish(name="steady", annotations={"min-scale": "2", "max-scale": "3"})
ROLLING: Final = Wish(name="rolling", annotations={"min-scale": "1", "max-scale": "2"})
SLEEPER: Final = Wish(name="sleeper")
"""Asleep until somebody asks."""

# Short requests have these shares of the rate; long ones come so often a second, whatever the rate:
# they are few, but many under way.
_SHORT: Final = {STEADY.name: {SHORT: 0.38, ECHO: 0.25}, ROLLING.name: {SHORT: 0.15, ECHO: 0.1}}
_LONG: Final = {SLEEP: 0.15, STREAM: 0.15, WEBSOCKET: 0.15}
_SWINGING: Final = {SHORT: 0.03, ECHO: 0.01}
_HIGH: Final = {SLEEP: 0.15, STREAM: 0.15, WEBSOCKET: 0.15}
_LOW: Final = {SLEEP: 0.0, STREAM: 0.05, WEBSOCKET: 0.0}

_REPORT: Final = pytest.StashKey[list[str]]()


@dataclass(frozen=True, slots=True)
class Soak:
    """What the tests share."""

    cluster: Cluster
    gateway: Gateway
    namespace: str
    ledger: Ledger
    load: Load
    tide: Tide

    def service(self, wish: Wish) -> Deployed:
        return Deployed(self.cluster, self.gateway, self.namespace, wish.name)

    def check(self) -> None:
        """Fail with the requests that have been lost until now."""
        lost = self.ledger.lost()
        assert not lost, f"{len(lost)} requests were lost:\n{self.ledger.describe(lost)}"


@pytest.fixture(scope="module", name="soak")
def soak_fixture(
    cluster: Cluster, gateway: Gateway, shared: str, request: pytest.FixtureRequest
) -> Iterator[Soak]:
    """Services under load, from the first test until the last."""
    swinging = [
        Wish(name=f"swing-{number}", concurrency=4, annotations={"max-scale": "3"})
        for number in range(SWINGS)
    ]
    for wish in (STEADY, ROLLING, SLEEPER, *swinging):
        cluster.apply(wish.manifest(shared))
    hosts = {
        wish.name: Deployed(cluster, gateway, shared, wish.name).ready().host
        for wish in (STEADY, ROLLING, *swinging)
    }
    ledger = Ledger()
    load = Load(gateway.url, ledger)
    shares = {**_SHORT, **{wish.name: _SWINGING for wish in swinging}}
    for name, share_of in shares.items():
        for kind, share in share_of.items():
            load.add(Flow(kind, hosts[name], name, share * RATE))
    for name in _SHORT:
        for kind, per_s in _LONG.items():
            load.add(Flow(kind, hosts[name], name, per_s))
    watching = Cluster(cluster.kubeconfig)
    swings = [
        Swing(
            Deployed(watching, gateway, shared, wish.name),
            [
                (load.add(Flow(kind, hosts[wish.name], wish.name, 0.0)), high, _LOW[kind])
                for kind, high in _HIGH.items()
            ],
            HALF_S * number,
        )
        for number, wish in enumerate(swinging)
    ]
    tide = Tide(ledger, swings)
    try:
        with load.running(), tide.rolling():
            yield Soak(cluster, gateway, shared, ledger, load, tide)
    finally:
        _report(request.config, ledger, tide)


@pytest.fixture(scope="session", name="api_switch")
def api_switch_fixture(local: LocalInstance | None) -> ApiSwitch:
    """How the API server is taken away here."""
    if local is not None:
        pid = local.status().pid  # with its kubelet, which is in the same process
        return ApiSwitch(
            partial(os.kill, pid, signal.SIGSTOP), partial(os.kill, pid, signal.SIGCONT)
        )
    commands = [os.environ.get(f"PILOTLIGHT_E2E_API_{word}") for word in ("STOP", "CONT")]
    if None in commands:
        pytest.skip("nobody said how to stop this cluster's API server (PILOTLIGHT_E2E_API_STOP)")
    stop, go_on = (_shell(str(command)) for command in commands)
    return ApiSwitch(stop, go_on)


def _shell(command: str) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(command, shell=True, check=True, timeout=30)

    return run


def _report(config: pytest.Config, ledger: Ledger, tide: Tide) -> None:
    lines = [
        f"{len(ledger.records)} requests, {tide.scale_downs} scale-downs, "
        f"at most {tide.largest} pods of one Revision",
        ledger.table(),
    ]
    failed = [record for record in ledger.records if record.failed]
    if failed:
        lines += ["failed, with those that were in killed processes:", ledger.describe(failed)]
    config.stash.setdefault(_REPORT, []).extend(lines)
    if path := os.environ.get("PILOTLIGHT_SOAK_RECORDS"):
        everything = {
            "at": time.time() - time.monotonic(),
            "disturbances": [asdict(found) for found in ledger.disturbances],
            "failed": [asdict(record) for record in failed],
        }
        Path(path).write_text(json.dumps(everything, default=str))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash.get(_REPORT, [])
    if lines:
        terminalreporter.section("soak")
        for line in lines:
            terminalreporter.write_line(line)
