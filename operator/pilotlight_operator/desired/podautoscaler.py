"""The PodAutoscaler of a Revision."""

from __future__ import annotations

from pilotlight import names
from pilotlight_operator.desired.metadata import (
    autoscaler_annotations,
    child_metadata,
    revision_child_labels,
)
from pilotlight_operator.desired.pod import protocol
from pilotlight_operator.desired.revision import ACTIVE, RESERVE
from pilotlight_operator.objects import Obj, labels_of, name_of, spec_of

REACHABLE = "Reachable"
UNREACHABLE = "Unreachable"
_REACHABILITY = {ACTIVE: REACHABLE, RESERVE: UNREACHABLE}


def podautoscaler(revision: Obj, *, broken: bool) -> Obj:
    """`broken`: pods are wanted, none is ready and the cause is known to be the Revision's own; it
    is then unreachable, so that min-scale does not pin pods that cannot serve.
    """
    state = labels_of(revision).get(names.ROUTING_STATE_LABEL, "")
    concurrency = int(spec_of(revision).get("containerConcurrency") or 0)
    spec: Obj = {
        # No limit is spelled as Knative spells it.
        **({"containerConcurrency": concurrency} if concurrency else {}),
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": names.deployment_name(name_of(revision)),
        },
        "protocolType": protocol(revision),
    }
    reachability = UNREACHABLE if broken else _REACHABILITY.get(state, "")
    if reachability:
        spec["reachability"] = reachability
    return {
        "apiVersion": f"{names.AUTOSCALING_GROUP}/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": child_metadata(
            revision,
            name_of(revision),
            revision_child_labels(revision),
            autoscaler_annotations(revision),
        ),
        "spec": spec,
    }
