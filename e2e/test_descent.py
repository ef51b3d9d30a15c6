"""No request is lost, whenever it comes while a Service falls asleep.

Many Services fall asleep side by side. Each is asked again a little later than the one before it:
between them they cover the descent, from before the window ends until the pod is gone, in steps of
50 ms. Each answer starts that Service's next descent, so that one Service covers several offsets.
"""

from __future__ import annotations

import threading
import time

import pytest

from e2e.harness import Cluster, Deployed, Gateway, Wish

pytestmark = pytest.mark.e2e

SERVICES = 20
FIRST_S = 6.0
LAST_S = 11.0
STEP_S = 0.05
OFFSETS = [FIRST_S + STEP_S * step for step in range(round((LAST_S - FIRST_S) / STEP_S))]


@pytest.mark.timeout(150)
def test_a_request_at_any_moment_of_the_descent_is_answered(
    cluster: Cluster, gateway: Gateway, shared: str
) -> None:
    wishes = [Wish(name=f"descent-{number}") for number in range(SERVICES)]
    for wish in wishes:
        cluster.apply(wish.manifest(shared))
    services = [Deployed(cluster, gateway, shared, wish.name).ready(60.0) for wish in wishes]
    lost: list[str] = []
    new: set[str] = set()
    threads = [
        threading.Thread(target=_descend, args=(service, OFFSETS[number::SERVICES], lost, new))
        for number, service in enumerate(services)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert len(new) > SERVICES + 10, "no pod ended in between: the sweep missed the descent"


def _descend(service: Deployed, offsets: list[float], lost: list[str], seen: set[str]) -> None:
    """Ask, be silent for each of `offsets` in turn, and ask again. `seen` gathers the programs."""
    host = service.host
    seen.add(service.gateway.ask(host).headers.get("X-Instance", ""))
    for offset in offsets:
        time.sleep(offset)
        try:
            answer = service.gateway.ask(host)
        except OSError as error:
            lost.append(f"{service.name} after {offset:.2f} s: {error!r}")
            continue
        seen.add(answer.headers.get("X-Instance", ""))
        if answer.status != 200:
            lost.append(f"{service.name} after {offset:.2f} s: {answer.status} {answer.text}")
