"""Kubernetes quantities, as far as the downward API needs them (pure)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_QUANTITY: Final = re.compile(r"([+-]?[0-9]*\.?[0-9]+|[+-]?[0-9]+\.)([a-zA-Z]*|[eE][+-]?[0-9]+)")
_SCALES: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def quantity(text: str | float) -> Decimal:
    """The number that a quantity such as `250m` or `64Mi` stands for. ValueError for others."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"quantity {text!r} must be a number with an optional unit")
    number, unit = match.groups()
    if unit in _SCALES:
        return Decimal(number) * _SCALES[unit]
    if unit[0] in "eE" and unit[1:]:
        return Decimal(number + unit)
    raise ValueError(f"quantity {text!r} has the unknown unit {unit!r}")


def resource_value(
    resource: str,
    divisor: str | None,
    resources: Mapping[str, Any],
    capacity: Mapping[str, str],
) -> str:
    """A container's request or limit in units of `divisor`, rounded up.

    A limit that is not set is the node's capacity, a request that is not set is 0.
    """
    kind, _, name = resource.partition(".")
    if kind not in ("limits", "requests") or not name:
        raise ValueError(f"resource {resource!r} must be limits.<name> or requests.<name>")
    declared = (resources.get(kind) or {}).get(name)
    if declared is None:
        declared = capacity.get(name, "0") if kind == "limits" else "0"
    unit = quantity(divisor or "1") or Decimal(1)
    return str(math.ceil(quantity(declared) / unit))
