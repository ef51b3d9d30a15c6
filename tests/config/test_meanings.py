"""What the values of ConfigMaps mean: flags, domains, hosts, classes, levels."""

from __future__ import annotations

import pytest

from pilotlight.config import (
    deployment,
    domain,
    features,
    gc,
    logging,
    network,
)
from pilotlight.config.features import Features, Flag, SecurePodDefaults
from pilotlight.config.go_values import ConfigError

IMAGE = {"queue-sidecar-image": "queue"}


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("Enabled", Flag.ENABLED),
        ("allowed", Flag.ALLOWED),
        ("DISABLED", Flag.DISABLED),
        ("perhaps", Flag.DISABLED),
        ("", Flag.DISABLED),
    ],
)
def test_a_feature_flag(text: str, flag: Flag) -> None:
    assert features.parse({"kubernetes.podspec-affinity": text}).podspec_affinity is flag


def test_the_keys_of_the_features() -> None:
    data = {
        "multi-container": "disabled",
        "kubernetes.podspec-volumes-emptydir": "allowed",
        "kubernetes.containerspec-addcapabilities": "enabled",
        "queueproxy.mount-podinfo": "allowed",
        "secure-pod-defaults": "allowrootbounded",
        "tag-header-based-routing": "enabled",
        "autodetect-http2": "enabled",
    }
    assert features.parse(data) == Features(
        multi_container=Flag.DISABLED,
        podspec_volumes_emptydir=Flag.ALLOWED,
        containerspec_addcapabilities=Flag.ENABLED,
        queueproxy_mount_podinfo=Flag.ALLOWED,
        secure_pod_defaults=SecurePodDefaults.ALLOW_ROOT_BOUNDED,
        tag_header_based_routing=Flag.ENABLED,
        autodetect_http2=Flag.ENABLED,
    )


def test_the_domain_with_the_longest_selector_wins() -> None:
    config = domain.parse(
        {
            "example.com": "",
            "b.example.com": "selector: {team: b}",
            "a.example.com": "selector: {team: b}",
            "x.example.com": "selector:\n  team: b\n  tier: x\n",
            "_example": "nonsense",
        }
    )
    assert config.domain_for({}) == "example.com"
    assert config.domain_for({"team": "b"}) == "a.example.com"
    assert config.domain_for({"team": "b", "tier": "x", "more": "1"}) == "x.example.com"
    local = {"networking.knative.dev/visibility": "cluster-local"}
    assert config.domain_for(local) == "svc.cluster.local"


def test_without_a_domain_for_all_a_route_is_local() -> None:
    assert domain.parse({}, "corp.local").domain_for({}) == "svc.corp.local"


def test_hosts_come_from_templates() -> None:
    config = network.parse(
        {
            "domain-template": '{{.Name}}-{{index .Labels "team"}}.{{.Annotations.env}}'
            ".{{.Domain}}",
            "tag-template": "{{.Name}}--{{.Tag}}",
        }
    )
    metadata = {"labels": {"team": "a"}, "annotations": {"env": "dev"}}
    name = config.tagged("v2", "shop")
    assert config.host(name, "default", "example.com", metadata) == "shop--v2-a.dev.example.com"
    assert config.tagged("", "shop") == "shop"
    plain = network.Network()
    assert plain.host("shop", "default", "example.com", {}) == "shop.default.example.com"
    assert plain.tagged("v2", "shop") == "v2-shop"


def test_runtime_classes_are_chosen_by_labels() -> None:
    text = "kata: {}\ngvisor:\n  selector: {sandbox: strict}\n"
    config = deployment.parse({**IMAGE, "runtime-class-name": text})
    assert config.runtime_class_name({"sandbox": "strict"}) == "gvisor"
    assert config.runtime_class_name({}) == "kata"
    assert deployment.parse(IMAGE).runtime_class_name({}) is None
    with pytest.raises(ConfigError, match="no name of a runtime class"):
        deployment.parse({**IMAGE, "runtime-class-name": "Bad_Name: {}"})
    with pytest.raises(ConfigError, match="needs a map"):
        deployment.parse({**IMAGE, "runtime-class-name": "kata: [x]"})


def test_levels_fall_back() -> None:
    config = logging.parse({"zap-logger-config": '{"level": "error"}', "loglevel.webhook": "debug"})
    assert (config.level("webhook"), config.level("activator")) == ("debug", "error")


def test_collection_is_off_when_every_limit_is() -> None:
    off = dict.fromkeys(
        ("retain-since-create-time", "retain-since-last-active-time", "max-non-active-revisions"),
        "disabled",
    )
    assert gc.parse(off).is_off
    assert not gc.parse({}).is_off
