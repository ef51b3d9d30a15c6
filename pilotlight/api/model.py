"""What all models of Kubernetes objects share: exact JSON in, exact JSON out, and a schema.

A model reads what the API server would (numbers are numbers, no coercion), keeps fields that it
does not know, and writes only what was set. The markers in `Annotated` types say what the CRD's
schema needs beside the Python type; `pilotlight.api.schema` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from pilotlight.config.go_values import parse_quantity

_INT32_MAX: Final = 2**31 - 1
_INT64_MAX: Final = 2**63 - 1
QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A marker: the schema of this type, in place of the one derived from Python's."""

    json: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Extra:
    """A marker: keywords added to the derived schema."""

    json: Mapping[str, Any]


def _whole_quantity(value: int | float | str) -> int | float | str:
    try:
        parse_quantity(str(value))
    except ValueError as error:
        raise ValueError(str(error)) from error
    return value


Int32 = Annotated[
    int,
    Field(ge=-_INT32_MAX - 1, le=_INT32_MAX),
    Schema({"type": "integer", "format": "int32"}),
]
Int64 = Annotated[
    int,
    Field(ge=-_INT64_MAX - 1, le=_INT64_MAX),
    Schema({"type": "integer", "format": "int64"}),
]
_INT_OR_STRING: Final = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
IntOrString = Annotated[int | str, Schema(_INT_OR_STRING)]
Quantity = Annotated[
    int | float | str,
    AfterValidator(_whole_quantity),
    Schema({"pattern": QUANTITY_PATTERN, **_INT_OR_STRING}),
]
Anything = Annotated[
    dict[str, Any], Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
StringMap = dict[str, str]
ATOMIC: Final = Extra({"x-kubernetes-list-type": "atomic"})
ATOMIC_MAP: Final = Extra({"x-kubernetes-map-type": "atomic"})
PRESERVE: Final = Extra({"x-kubernetes-preserve-unknown-fields": True})


def list_map(*keys: str) -> Extra:
    """A list whose items are told apart by these fields."""
    return Extra({"x-kubernetes-list-map-keys": list(keys), "x-kubernetes-list-type": "map"})


def optional(description: str, alias: str | None = None) -> Any:
    """A field that may be left out."""
    return Field(default=None, description=description, alias=alias)


def required(description: str, alias: str | None = None) -> Any:
    """A field that the schema demands."""
    return Field(description=description, alias=alias)


def defaulted(value: Any, description: str, alias: str | None = None) -> Any:
    """A field that the API server fills in when it is left out."""
    return Field(default=value, description=description, alias=alias)


def gated(flag: str, alias: str | None = None) -> Any:
    """A field that may be used only where the feature flag allows it."""
    return optional(f"Needs the feature flag {flag}.", alias)


class Model(BaseModel):
    """The base of every resource and of every part of one."""

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
        protected_namespaces=(),
    )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read Kubernetes JSON. Raises pydantic's ValidationError."""
        return cls.model_validate(data)

    def to_dict(self) -> dict[str, Any]:
        """Write Kubernetes JSON: only what was set, nothing that is null."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
