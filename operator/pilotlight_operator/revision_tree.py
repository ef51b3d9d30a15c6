"""A Revision and what is below it: Deployment, PodAutoscaler, Services, and the key of its pods."""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight.kube.resources import (
    CORE_SERVICES,
    DEPLOYMENTS,
    POD_AUTOSCALERS,
    REVISIONS,
    SECRETS,
)
from pilotlight_operator.changes import Rules
from pilotlight_operator.desired.deployment import deployment, initial_scale
from pilotlight_operator.desired.podautoscaler import podautoscaler
from pilotlight_operator.desired.secret import key_secret
from pilotlight_operator.desired.services import private_service, public_service
from pilotlight_operator.objects import Obj, is_deleting, key_of, uid_of
from pilotlight_operator.planner import Planner
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.status.pods import lacks_key
from pilotlight_operator.status.revision import (
    RevisionFacts,
    is_broken,
    revision_status,
)

_DEPLOYMENT_RULES: Final = Rules(
    exact_metadata=False,
    by_label=names.DEPLOYMENT_HASH_LABEL,
    # Replicas are the autoscaler's; a selector cannot be changed.
    spec_excluded=("replicas", "selector"),
)
# The defaulting of PodAutoscalers fills these in; they are not the Revision's.
_AUTOSCALER_RULES: Final = Rules(kept=(names.CLASS_ANNOTATION, names.METRIC_ANNOTATION))
# A Service that exists keeps the addresses it has, and what meshes and clouds note on it.
_SERVICE_RULES: Final = Rules(
    exact_metadata=False, exact_spec=False, spec_excluded=("clusterIP", "type")
)


def plan_revision(planner: Planner, revision: Obj) -> Obj:
    """Plan a Revision's children and status; returns it with the status it will have."""
    if is_deleting(revision):
        return revision
    pods = planner.view.pods_of(key_of(revision))
    observed = _observed_deployment(planner, revision)
    if observed is None or lacks_key(pods):
        _ensure_key(planner, revision)
    made = _deployment(planner, revision)
    facts = RevisionFacts(
        revision=revision,
        deployment=made if isinstance(made, dict) else None,
        podautoscaler=None,
        pods=pods,
        refusal=made if isinstance(made, Refusal) else None,
        always_schedulable=planner.settings.deployment.pod_is_always_schedulable,
        log_url=planner.settings.log_url(uid_of(revision)),
    )
    scaler = planner.child(
        POD_AUTOSCALERS,
        podautoscaler(revision, broken=is_broken(facts)),
        revision,
        _AUTOSCALER_RULES,
    )
    services = [
        planner.child(CORE_SERVICES, desired, revision, _SERVICE_RULES)
        for desired in (public_service(revision), private_service(revision))
    ]
    refused = [child for child in (made, scaler, *services) if isinstance(child, Refusal)]
    facts = RevisionFacts(
        revision=revision,
        deployment=facts.deployment,
        podautoscaler=scaler if isinstance(scaler, dict) else None,
        pods=pods,
        refusal=next(iter(refused), None),
        always_schedulable=facts.always_schedulable,
        log_url=facts.log_url,
    )
    return planner.status(REVISIONS, revision, revision_status(facts, planner.world.now))


def _observed_deployment(planner: Planner, revision: Obj) -> Obj | None:
    namespace, name = key_of(revision)
    return planner.view.get(DEPLOYMENTS, namespace, names.deployment_name(name))


def _deployment(planner: Planner, revision: Obj) -> Obj | Refusal | None:
    desired = deployment(revision, planner.settings)
    if _observed_deployment(planner, revision) is None:
        replicas = initial_scale(revision, planner.settings)
        desired = {**desired, "spec": {"replicas": replicas, **desired["spec"]}}
    return planner.child(DEPLOYMENTS, desired, revision, _DEPLOYMENT_RULES)


def _ensure_key(planner: Planner, revision: Obj) -> None:
    """Secrets are not watched: the key is made together with the Deployment, and again when the
    kubelet misses it.
    """
    desired = key_secret(revision, planner.world.master_key)
    planner.ensure(SECRETS, desired, revision)
