"""Objects that have not the shape of their kind."""

from __future__ import annotations

import pytest

from pilotlight.api.admission import (
    DecodeError,
    default,
    prepare,
    undecodable,
)
from pilotlight.api.decoding import MODELS
from tests.api.builders import (
    Obj,
    context,
    service,
    service_of,
)

SHAPES: dict[str, tuple[Obj, str]] = {
    "text for a number": (
        service_of({"containers": [{"image": "a/b"}], "timeoutSeconds": "5"}),
        "json: cannot unmarshal string into Go struct field "
        "Service.spec.template.spec.timeoutSeconds of type int64",
    ),
    "number for a text": (
        service(image=5),
        "json: cannot unmarshal number 5 into Go struct field "
        "Service.spec.template.spec.containers.image of type string",
    ),
    "text for a switch": (
        service(securityContext={"runAsNonRoot": "yes"}),
        "json: cannot unmarshal string into Go struct field "
        "Service.spec.template.spec.containers.securityContext.runAsNonRoot of type bool",
    ),
    "quantity": (
        service(resources={"limits": {"cpu": "much"}}),
        "quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    "beyond the range": (
        service(ports=[{"containerPort": 3_000_000_000}]),
        "json: cannot unmarshal number 3000000000 into Go struct field "
        "Service.spec.template.spec.containers.ports.containerPort of type int32",
    ),
    "init container": (
        service_of({"containers": [{"image": "a/b"}], "initContainers": [{"image": 5}]}),
        "json: cannot unmarshal number 5 into Go struct field "
        "Service.spec.template.spec.initContainers.image of type string",
    ),
    "object for a list": (
        service_of({"containers": {"image": "a/b"}}),
        "json: cannot unmarshal object into Go struct field "
        "Service.spec.template.spec.containers of type []interface {}",
    ),
}


@pytest.mark.parametrize(("obj", "text"), SHAPES.values(), ids=SHAPES.keys())
def test_a_wrong_shape_is_told_before_anything_else(obj: Obj, text: str) -> None:
    with pytest.raises(DecodeError) as raised:
        default(obj, None, context())
    message = f"mutation failed: cannot decode incoming new object: {text}"
    assert undecodable(raised.value) == message


def test_all_readers_can_be_built_beforehand() -> None:
    prepare()
    assert all(model.__pydantic_complete__ for model in MODELS.values())
