"""Rules about what may change, and what is not checked at all."""

from __future__ import annotations

import copy

from pilotlight.api.admission import (
    AdmissionContext,
    Operation,
    default,
    validate,
    validation_failed,
)
from pilotlight.config.defaults import Defaults
from tests.api.builders import (
    Obj,
    context,
    refusal_of_update,
    revision,
    service,
)


def own_name(name: str, obj: Obj | None = None) -> Obj:
    obj = copy.deepcopy(obj or service())
    obj["spec"]["template"]["metadata"]["name"] = name
    return obj


def test_a_changed_template_needs_a_new_name() -> None:
    old = own_name("hello-one")
    new = default(old, None, context(user="alice"))
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/other"
    text = (
        "Saw the following changes without a name change (-old +new): spec.template.metadata.name\n"
        '-spec.containers[0].image: "example.com/hello"\n'
        '+spec.containers[0].image: "example.com/other"'
    )
    assert refusal_of_update(old, new) == text
    new["spec"]["template"]["metadata"]["name"] = "hello-two"
    assert refusal_of_update(old, new) == ""


def test_a_kept_name_survives_new_defaults() -> None:
    made = default(own_name("hello-one"), None, context(user="alice"))
    where = context(
        Operation.UPDATE,
        user="bob",
        defaults=Defaults(revision_timeout_s=60, container_concurrency=5),
    )
    applied = default(made, made, where)
    assert applied == made
    assert validate(applied, made, where).render() == ""


def test_a_manifest_with_a_name_of_its_own_can_be_applied_again() -> None:
    made = default(own_name("hello-one"), None, context(user="alice"))
    applied = copy.deepcopy(made)
    # What kubectl sends: lists come from the manifest, the rest stays as it was completed.
    applied["spec"]["template"]["spec"]["containers"] = own_name("hello-one")["spec"]["template"][
        "spec"
    ]["containers"]
    where = context(Operation.UPDATE, user="alice")
    again = default(applied, made, where)
    assert again == made
    assert validate(again, made, where).render() == ""


def test_a_revision_never_changes() -> None:
    old = revision()
    new = default(old, None, context())
    new["spec"]["containers"][0]["image"] = "example.com/other"
    assert refusal_of_update(old, new) == (
        "Immutable fields changed (-old +new): spec\n"
        '-containers[0].image: "example.com/hello"\n'
        '+containers[0].image: "example.com/other"'
    )


def test_the_labels_and_annotations_of_a_revision_change() -> None:
    new = default(revision(), None, context())
    new["metadata"]["labels"] = {"a": "b"}
    new["metadata"]["annotations"] = {"autoscaling.knative.dev/min-scale": "2"}
    new["spec"]["containers"][0]["resources"] = {"limits": {}}
    assert refusal_of_update(revision(), new) == ""


def test_quantities_are_compared_by_their_size() -> None:
    old = revision(resources={"limits": {"cpu": "1000m"}})
    new = default(revision(resources={"limits": {"cpu": 1}}), None, context())
    assert refusal_of_update(old, new) == ""


def test_status_writes_and_deletions_are_not_checked() -> None:
    broken = service(image="")
    for where in (
        AdmissionContext(Operation.UPDATE, subresource="status"),
        AdmissionContext(Operation.DELETE),
    ):
        assert not validate(broken, broken, where)


def test_other_kinds_pass() -> None:
    pod = {"apiVersion": "v1", "kind": "Service", "metadata": {}}
    assert default(pod, None, context()) == pod
    assert not validate(pod, None, context())


def test_a_denial_says_that_validation_failed() -> None:
    errors = validate(default(service(image=""), None, context()), None, context())
    assert validation_failed(errors) == (
        "validation failed: missing field(s): spec.template.spec.containers[0].image"
    )


def test_what_is_unset_and_unsafe_is_worth_a_warning() -> None:
    text = (
        "Kubernetes default value is insecure, Knative may default this to secure in a future "
        "release: spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation, "
        "spec.template.spec.containers[0].securityContext.capabilities, "
        "spec.template.spec.containers[0].securityContext.runAsNonRoot, "
        "spec.template.spec.containers[0].securityContext.seccompProfile"
    )
    errors = validate(default(service(), None, context()), None, context())
    assert errors.warnings == [text]
    assert errors.render() == ""


def test_a_misspelt_capability_is_worth_a_warning() -> None:
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["all"]},
    }
    errors = validate(default(service(securityContext=security), None, context()), None, context())
    assert errors.warnings == [
        "invalid value: all: spec.template.spec.containers[0].securityContext.capabilities.drop\n"
        "Must be spelled as 'ALL'"
    ]


def test_what_is_being_deleted_can_lose_its_finalizers_under_stricter_rules() -> None:
    stricter = AdmissionContext(
        operation=Operation.UPDATE, user="bob", defaults=Defaults(max_revision_timeout_s=10)
    )
    old = default(service(), None, context(user="alice"))
    old["metadata"]["finalizers"] = ["foregroundDeletion"]
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = []
    assert "timeoutSeconds" in validate(new, old, stricter).render()
    for each in (old, new):
        each["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert validate(new, old, stricter).render() == ""
