"""The status of an Ingress that our own gateway serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotlight.api.conditions import INGRESS, Conditions
from pilotlight_operator.objects import Obj, generation_of, status_of

NETWORK_CONFIGURED: Final = "NetworkConfigured"
LOAD_BALANCER_READY: Final = "LoadBalancerReady"


@dataclass(frozen=True, slots=True)
class Served:
    """How many gateways answered with the Ingress's fingerprint, of how many there are, and what
    the first that did not answered.
    """

    current: int
    gateways: int
    obstacle: str = ""

    @property
    def everywhere(self) -> bool:
        return self.gateways > 0 and self.current == self.gateways


def ingress_status(ingress: Obj, served: Served | None, gateway: str, now: datetime) -> Obj:
    """`gateway` is the name inside the cluster that leads to it; `served` is None until asked."""
    before = status_of(ingress)
    generation = generation_of(ingress)
    conditions = Conditions(INGRESS, before.get("conditions"), now)
    conditions.initialize()
    conditions.observe_generation(generation, before.get("observedGeneration"))
    conditions.mark_true(NETWORK_CONFIGURED)
    status: Obj = {**before, "observedGeneration": generation}
    if served is not None and served.everywhere:
        conditions.mark_true(LOAD_BALANCER_READY)
        balancer = {"ingress": [{"domainInternal": gateway}]}
        status["publicLoadBalancer"] = balancer
        status["privateLoadBalancer"] = balancer
    else:
        conditions.mark_unknown(LOAD_BALANCER_READY, "Uninitialized", _waiting(served))
    status["conditions"] = conditions.to_list()
    return status


def _waiting(served: Served | None) -> str:
    text = "Waiting for load balancer to be ready"
    if served is None:
        return text
    if served.gateways == 0:
        return f"{text}: no activator is running"
    return f"{text}: {served.current} of {served.gateways} activators serve it{served.obstacle}"
