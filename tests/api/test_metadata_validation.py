"""Rules about names, labels and the users of an object, by the text it refuses with."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pilotlight.api.admission import (
    default,
)
from tests.api.builders import (
    Obj,
    configuration,
    context,
    refusal,
    refusal_of_update,
    revision,
    route,
    service,
)

DNS1035 = (
    "[a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')]"
)


def named(obj: Obj, **metadata: Any) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


NAMES: dict[str, tuple[Obj, str]] = {
    "digit first": (
        named(service(), name="1st"),
        f"not a DNS 1035 label: {DNS1035}: metadata.name",
    ),
    "too long": (
        named(service(), name="a" * 64),
        "not a DNS 1035 label: [must be no more than 63 bytes]: metadata.name",
    ),
    "prefix": (
        named(service(), name="", generateName="1st-"),
        f"not a DNS 1035 label prefix: {DNS1035}: metadata.generateName",
    ),
    "none": (named(service(), name=""), "name or generateName is required: metadata.name"),
    "scaling at the wrong place": (
        named(service(), annotations={"autoscaling.knative.dev/min-scale": "1"}),
        'invalid key name "autoscaling.knative.dev/min-scale": metadata.annotations\n'
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
    ),
    "scaling of a Configuration": (
        named(configuration(), annotations={"autoscaling.knative.dev/target": "1"}),
        'invalid key name "autoscaling.knative.dev/target": metadata.annotations\n'
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
    ),
    "rollout below zero": (
        named(service(), annotations={"serving.knative.dev/rollout-duration": "-1s"}),
        "rollout-duration=-1s must be positive: "
        "metadata.annotations.serving.knative.dev/rollout-duration",
    ),
    "rollout between seconds": (
        named(
            route({"percent": 100, "revisionName": "a"}),
            annotations={"serving.knative.dev/rolloutDuration": "1500ms"},
        ),
        "rollout-duration=1500ms is not at second precision: "
        "metadata.annotations.serving.knative.dev/rolloutDuration",
    ),
    "rollout that is none": (
        named(service(), annotations={"serving.knative.dev/rollout-duration": "soon"}),
        "invalid value: soon: metadata.annotations.serving.knative.dev/rollout-duration",
    ),
    "Configuration of nobody": (
        named(configuration(), labels={"serving.knative.dev/service": "hello"}),
        "missing field(s): metadata.labels.serving.knative.dev/service",
    ),
    "Revision of nobody": (
        named(revision(), labels={"serving.knative.dev/configuration": "hello"}),
        "missing field(s): metadata.labels.serving.knative.dev/configuration",
    ),
}


@pytest.mark.parametrize(("obj", "text"), NAMES.values(), ids=NAMES.keys())
def test_metadata_is_refused_with_the_text(obj: Obj, text: str) -> None:
    assert refusal(obj) == text


def test_an_owned_configuration_passes() -> None:
    owner = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello", "uid": "1"}
    labels = {"serving.knative.dev/service": "hello"}
    assert refusal(named(configuration(), labels=labels, ownerReferences=[owner])) == ""


def test_what_outlives_its_owner_keeps_its_label() -> None:
    owner = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello", "uid": "1"}
    labels = {"serving.knative.dev/service": "hello"}
    owned = named(configuration(), labels=labels, ownerReferences=[owner])
    assert refusal_of_update(owned, named(owned, labels=labels, ownerReferences=[])) == ""
    other = {"serving.knative.dev/service": "other"}
    assert refusal_of_update(owned, named(owned, labels=other)) == (
        "missing field(s): metadata.labels.serving.knative.dev/service"
    )


def own_name(name: str, obj: Obj | None = None) -> Obj:
    obj = copy.deepcopy(obj or service())
    obj["spec"]["template"]["metadata"]["name"] = name
    return obj


def test_the_name_of_a_revision_starts_with_its_service() -> None:
    assert refusal(own_name("other-one")) == (
        'invalid value: "other-one" must have prefix "hello-": spec.template.metadata.name'
    )
    assert refusal(own_name("hello-one")) == ""


def test_a_generated_service_cannot_name_its_revision() -> None:
    made = named(service(), name="", generateName="hello-")
    assert refusal(own_name("hello-one", made)) == (
        "must not set the field(s): spec.template.metadata.name"
    )


def test_the_name_of_a_revision_is_a_label() -> None:
    assert refusal(own_name("Hello-one")) == (
        f"invalid value: not a DNS 1035 label: {DNS1035}: spec.template.metadata.name"
    )


def test_the_creator_stays() -> None:
    new = default(service(), None, context(user="mallory"))
    assert refusal_of_update(service(), new) == (
        "annotation value is immutable: metadata.annotations.serving.knative.dev/creator\n"
        "invalid value: mallory: metadata.annotations.serving.knative.dev/lastModifier"
    )
