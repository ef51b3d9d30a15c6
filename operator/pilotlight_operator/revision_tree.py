"""A Revision and what is below it: Deployment, PodAutoscaler, Services, and the key of its pods."""

from __future__ import annotations

from typing import Final

from pilotlight import names
from pilotlight.api import queue_proxies
from pilotlight.kube.resources import (
    CORE_SERVICES,
    DEPLOYMENTS,
    ENDPOINTS,
    POD_AUTOSCALERS,
    REVISIONS,
    ROUTES,
    SECRETS,
)
from pilotlight_operator.changes import Rules
from pilotlight_operator.desired.deployment import deployment, initial_scale
from pilotlight_operator.desired.podautoscaler import podautoscaler
from pilotlight_operator.desired.secret import key_secret
from pilotlight_operator.desired.services import (
    private_service,
    public_endpoints,
    public_service,
)
from pilotlight_operator.objects import (
    Obj,
    annotations_of,
    is_controlled_by,
    is_deleting,
    key_of,
    namespace_of,
    spec_of,
    uid_of,
)
from pilotlight_operator.planner import Planner
from pilotlight_operator.refusal import Refusal
from pilotlight_operator.route_tree import is_ours
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
_ENDPOINTS_RULES: Final = Rules(exact_metadata=False)


def plan_revision(planner: Planner, revision: Obj) -> Obj:
    """Plan a Revision's children and status; returns it with the status it will have."""
    if is_deleting(revision):
        return revision
    pods = planner.view.pods_of(key_of(revision))
    made = _deployment(planner, revision, pods)
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
    leading = _endpoints(planner, revision, services[0])
    refused = [child for child in (made, scaler, *services, leading) if isinstance(child, Refusal)]
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


def _deployment(planner: Planner, revision: Obj, pods: list[Obj]) -> Obj | Refusal | None:
    desired = deployment(revision, planner.settings)
    observed = _observed_deployment(planner, revision)
    if observed is None:
        replicas = initial_scale(revision, planner.settings)
        desired = {**desired, "spec": {"replicas": replicas, **desired["spec"]}}
    elif _keeps_its_pods(observed, revision):
        return observed
    if observed is None or not _has_our_pods(observed) or lacks_key(pods):
        _ensure_key(planner, revision)
    return planner.child(DEPLOYMENTS, desired, revision, _DEPLOYMENT_RULES)


def _keeps_its_pods(deployment: Obj, revision: Obj) -> bool:
    """Whether a Deployment that Knative made is left as it is: its pods serve, and to replace them
    only for the sake of the sidecar is not worth it, unless somebody asks for it.
    """
    asked = annotations_of(revision).get(names.REPLACE_PODS_ANNOTATION) == "true"
    return (
        is_controlled_by(deployment, revision)
        and not _has_our_pods(deployment)
        and spec_of(deployment).get("replicas") != 0
        and not asked
    )


def _has_our_pods(deployment: Obj) -> bool:
    pod = (spec_of(deployment).get("template") or {}).get("spec") or {}
    return queue_proxies.is_ours(pod.get("containers") or ())


def _endpoints(
    planner: Planner, revision: Obj, service: Obj | Refusal | None
) -> Obj | Refusal | None:
    """Another implementation of Ingress sends requests to the public Service. Its Endpoints are the
    activators where there is one, and where Knative has made some: those would lead astray, and so
    would ours, once made. Nothing is changed as long as no activator is there to lead to.
    """
    activators = planner.world.activators
    if not isinstance(service, dict) or not activators:
        return None
    made = planner.view.get(ENDPOINTS, *key_of(revision)) is not None
    adopted = not is_controlled_by(service, revision)
    if made or adopted or not _is_served_by_us(planner, revision):
        desired = public_endpoints(revision, activators)
        return planner.child(ENDPOINTS, desired, revision, _ENDPOINTS_RULES)
    return None


def _is_served_by_us(planner: Planner, revision: Obj) -> bool:
    """Whether every Route that leads to a Revision does so by our own gateways."""
    leading = annotations_of(revision).get(names.ROUTES_ANNOTATION, "").split(",")
    routes = [planner.view.get(ROUTES, namespace_of(revision), name) for name in leading if name]
    return all(is_ours(planner, route) for route in routes if route is not None)


def _ensure_key(planner: Planner, revision: Obj) -> None:
    """Secrets are not watched: the key is made together with the Deployment, or when the Deployment
    gets our pods, and again when the kubelet misses it.
    """
    desired = key_secret(revision, planner.world.master_key)
    planner.ensure(SECRETS, desired, revision)
