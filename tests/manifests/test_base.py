"""The manifests that a cluster gets: consistent in themselves, with the code, and safe."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import pilotlight
from pilotlight import names
from pilotlight.config import (
    autoscaler,
    defaults,
    deployment,
    domain,
    features,
    gc,
    leader_election,
    logging,
    network,
    observability,
)
from pilotlight.config.example import EXAMPLE_KEY, example_fault

Object = dict[str, Any]

ROOT = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted(path.name for path in (ROOT / "overlays").iterdir())
COMPONENTS = (names.OPERATOR, names.AUTOSCALER, names.ACTIVATOR)


def load(directory: Path) -> list[Object]:
    """The objects of a kustomization without its patches."""
    found: list[Object] = []
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    for entry in kustomization["resources"]:
        path = (directory / entry).resolve()
        if path.is_dir():
            found += load(path)
        else:
            found += [document for document in yaml.safe_load_all(path.read_text()) if document]
    return found


OBJECTS = load(ROOT / "base")
CONFIG_MAPS = {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == "ConfigMap"}
DEPLOYMENTS = {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == "Deployment"}


def test_every_file_is_listed() -> None:
    listed = yaml.safe_load((ROOT / "base" / "kustomization.yaml").read_text())["resources"]
    present = {path.name for path in (ROOT / "base").glob("*.yaml")} - {"kustomization.yaml"}
    assert present == {entry for entry in listed if not entry.startswith("..")}


@pytest.mark.parametrize("directory", ["base", *(f"overlays/{o}" for o in OVERLAYS)])
def test_kustomizations_use_only_what_local_mode_knows(directory: str) -> None:
    document = yaml.safe_load((ROOT / directory / "kustomization.yaml").read_text())
    assert set(document) <= {"apiVersion", "kind", "resources", "patches"}


def test_no_object_is_there_twice() -> None:
    keys = [
        (o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
        for o in OBJECTS
    ]
    assert len(keys) == len(set(keys))


_EXAMPLES: dict[str, tuple[Any, Any]] = {
    names.CONFIG_AUTOSCALER: (autoscaler.parse, autoscaler.Autoscaler()),
    names.CONFIG_DEFAULTS: (defaults.parse, defaults.Defaults()),
    names.CONFIG_FEATURES: (features.parse, features.Features()),
    names.CONFIG_GC: (gc.parse, gc.GarbageCollection()),
    names.CONFIG_LEADER_ELECTION: (leader_election.parse, leader_election.LeaderElection()),
    names.CONFIG_NETWORK: (network.parse, network.Network()),
    names.CONFIG_OBSERVABILITY: (observability.parse, observability.Observability()),
}


@pytest.mark.parametrize("name", sorted(_EXAMPLES))
def test_examples_show_the_defaults(name: str) -> None:
    parse, default = _EXAMPLES[name]
    example = yaml.safe_load(CONFIG_MAPS[name]["data"][EXAMPLE_KEY])
    assert all(isinstance(value, str) for value in example.values())
    assert parse(example) == default


def test_the_example_of_config_deployment_shows_the_defaults() -> None:
    example = yaml.safe_load(CONFIG_MAPS[names.CONFIG_DEPLOYMENT]["data"][EXAMPLE_KEY])
    parsed = deployment.parse({**example, "queue-sidecar-image": "i"})
    assert parsed == deployment.Deployment(queue_sidecar_image="i")


def test_the_example_of_config_logging_shows_the_defaults() -> None:
    example = yaml.safe_load(CONFIG_MAPS[names.CONFIG_LOGGING]["data"][EXAMPLE_KEY])
    parsed = logging.parse(example)
    assert {logging.Logging().level(component) for component in parsed.levels} == set(
        parsed.levels.values()
    )


def test_the_example_of_config_domain_is_understood() -> None:
    example = yaml.safe_load(CONFIG_MAPS[names.CONFIG_DOMAIN]["data"][EXAMPLE_KEY])
    parsed = domain.parse(example)
    assert parsed.domain_for({"app": "shop"}) == "example.com"
    assert parsed.domain_for({}) == "example.org"


@pytest.mark.parametrize("name", ["autoscaler", "defaults", "features", "gc", "observability"])
def test_examples_leave_nothing_out(name: str) -> None:
    """A change of any value in an example must show: then it is parsed, and not only a comment."""
    example = yaml.safe_load(CONFIG_MAPS[f"config-{name}"]["data"][EXAMPLE_KEY])
    _, default = _EXAMPLES[f"config-{name}"]
    # Nested settings and those that are unset by default take one key or more.
    settable = [f for f in dataclasses.fields(default) if getattr(default, f.name) is not None]
    assert len(example) >= len(settable) - 1


@pytest.mark.parametrize("name", sorted(CONFIG_MAPS))
def test_examples_carry_their_checksum(name: str) -> None:
    config_map = CONFIG_MAPS[name]
    assert "knative.dev/example-checksum" in config_map["metadata"]["annotations"]
    assert example_fault(config_map["data"], config_map["metadata"]["annotations"]) is None


def test_config_maps_are_those_of_the_code() -> None:
    expected = {value for key, value in vars(names).items() if key.startswith("CONFIG_")}
    expected = {value for value in expected if value.startswith("config-")}
    assert set(CONFIG_MAPS) == expected


def test_the_gateway_is_chosen_and_the_sidecar_is_ours() -> None:
    chosen = network.parse(CONFIG_MAPS[names.CONFIG_NETWORK]["data"])
    assert chosen.ingress_class == names.INGRESS_CLASS
    image = deployment.parse(CONFIG_MAPS[names.CONFIG_DEPLOYMENT]["data"]).queue_sidecar_image
    assert image == f"pilotlight.dev/queue-proxy:{pilotlight.__version__}"


@pytest.mark.parametrize("name", COMPONENTS)
def test_images_carry_the_version(name: str) -> None:
    (container,) = _pod(name)["containers"]
    assert container["image"] == f"pilotlight.dev/{name}:{pilotlight.__version__}"


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    assert project["version"] == pilotlight.__version__


@pytest.mark.parametrize("name", COMPONENTS)
def test_pods_are_restricted(name: str) -> None:
    pod = _pod(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "volumes" not in pod


@pytest.mark.parametrize("name", COMPONENTS)
def test_probes_and_environment(name: str) -> None:
    (container,) = _pod(name)["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": names.ADMIN_PORT}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": names.ADMIN_PORT}
    variables = {entry["name"] for entry in container["env"]}
    assert variables == {"SYSTEM_NAMESPACE", "POD_NAMESPACE", "POD_NAME", "POD_IP"}
    assert "command" not in container
    assert "args" not in container


def test_services_lead_to_ports_that_are_open() -> None:
    pods = {
        d["spec"]["template"]["metadata"]["labels"][names.COMPONENT_LABEL]: _pod(name)
        for name, d in DEPLOYMENTS.items()
    }
    services = [o for o in OBJECTS if o["kind"] == "Service" and o["apiVersion"] == "v1"]
    assert {o["metadata"]["name"] for o in services} == {
        names.ACTIVATOR_SERVICE,
        names.GATEWAY_SERVICE,
        names.ACTIVATOR_REPORTS_SERVICE,
        names.AUTOSCALER_REPORTS_SERVICE,
        names.WEBHOOK_SERVICE,
    }
    for service in services:
        (container,) = pods[service["spec"]["selector"][names.COMPONENT_LABEL]]["containers"]
        open_ports = {port["containerPort"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports


@pytest.mark.parametrize(
    "name", [names.ACTIVATOR_REPORTS_SERVICE, names.AUTOSCALER_REPORTS_SERVICE]
)
def test_reports_reach_every_replica(name: str) -> None:
    (service,) = (o for o in OBJECTS if o["metadata"]["name"] == name)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["ports"][0]["port"] == names.REPORT_PORT


def test_secrets_are_empty() -> None:
    secrets = {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == "Secret"}
    assert set(secrets) == {names.WEBHOOK_CERTS_SECRET, names.KEYS_SECRET}
    assert not any("data" in o or "stringData" in o for o in secrets.values())


def test_webhooks() -> None:
    webhooks = {o["metadata"]["name"]: o for o in OBJECTS if "webhooks" in o}
    assert set(webhooks) == {names.DEFAULTING_WEBHOOK, names.VALIDATION_WEBHOOK}
    for name, obj in webhooks.items():
        (webhook,) = obj["webhooks"]
        assert webhook["name"] == name
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["sideEffects"] == "None"
        assert webhook["timeoutSeconds"] == 10
        # Without rules nothing is asked before the operator can answer.
        assert "rules" not in webhook


def test_accounts_and_roles_fit_together() -> None:
    accounts = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "ServiceAccount"}
    assert accounts == set(COMPONENTS)
    assert {_pod(name)["serviceAccountName"] for name in COMPONENTS} == accounts
    for binding in (o for o in OBJECTS if o["kind"].endswith("Binding")):
        kind = binding["roleRef"]["kind"]
        roles = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == kind}
        assert binding["roleRef"]["name"] in roles
        assert {subject["name"] for subject in binding["subjects"]} <= accounts


def test_components_may_not_do_everything() -> None:
    own = [
        o
        for o in OBJECTS
        if o["kind"] in ("ClusterRole", "Role") and "aggregate" not in str(o["metadata"]["labels"])
    ]
    for role in own:
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"] and set(rule["verbs"]) != {"create"}:
                assert set(rule["resourceNames"]) <= {
                    names.WEBHOOK_CERTS_SECRET,
                    names.KEYS_SECRET,
                }


def test_every_pod_has_a_disruption_budget() -> None:
    budgets = [o for o in OBJECTS if o["kind"] == "PodDisruptionBudget"]
    guarded = {o["spec"]["selector"]["matchLabels"][names.COMPONENT_LABEL] for o in budgets}
    assert guarded == set(COMPONENTS)


# What Knative Serving's own components are labelled with, in the same namespace.
KNATIVE_PODS = (
    {"app": "activator", "role": "activator"},
    {"app": "autoscaler"},
    {"app": "controller"},
    {"app": "webhook", "role": "webhook"},
)


def test_nothing_selects_the_pods_of_a_knative_that_is_still_there() -> None:
    """While one takes over from the other, they run side by side."""
    selecting = [o for o in OBJECTS if "selector" in o.get("spec", {})]
    assert len(selecting) == len(DEPLOYMENTS) + 5 + len(COMPONENTS)
    for obj in selecting:
        selector = obj["spec"]["selector"]
        labels = selector.get("matchLabels", selector)
        assert not any(labels.items() <= pod.items() for pod in KNATIVE_PODS), obj["metadata"]
    for name, obj in DEPLOYMENTS.items():
        labels = obj["spec"]["template"]["metadata"]["labels"]
        assert labels[names.COMPONENT_LABEL] == labels["app"] == name


def test_the_namespace_is_restricted() -> None:
    (namespace,) = (o for o in OBJECTS if o["kind"] == "Namespace")
    assert namespace["metadata"]["name"] == names.SYSTEM_NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def _pod(name: str) -> Object:
    spec: Object = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return spec
