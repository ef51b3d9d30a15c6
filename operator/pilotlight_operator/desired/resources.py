"""The resources of the queue-proxy's container."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from pilotlight import names
from pilotlight.config.go_values import parse_quantity
from pilotlight_operator.desired.pod import serving_container
from pilotlight_operator.objects import Obj, annotations_of, first

_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
_PERCENTAGE: Final = (
    names.QUEUE_RESOURCE_PREFIX + "resource-percentage",
    names.QUEUE_RESOURCE_PREFIX + "resourcePercentage",
)
_MEBI: Final = Decimal(2**20)
_BOUNDS: Final = {
    ("requests", "cpu"): (Decimal("0.025"), Decimal("0.1")),
    ("limits", "cpu"): (Decimal("0.04"), Decimal("0.5")),
    ("requests", "memory"): (50 * _MEBI, 200 * _MEBI),
    ("limits", "memory"): (200 * _MEBI, 500 * _MEBI),
}


def queue_resources(revision: Obj, configured: dict[str, dict[str, str]]) -> Obj:
    """`configured` has `requests` and `limits` by resource, as the cluster's configuration sets
    them; a share of the user's container comes above it, explicit annotations above both.
    """
    resources = {}
    for kind in ("requests", "limits"):
        amounts = dict(configured.get(kind) or {})
        amounts.update(_share(revision, kind))
        amounts.update(_explicit(revision, kind))
        if amounts:
            resources[kind] = amounts
    return resources


def _explicit(revision: Obj, kind: str) -> dict[str, str]:
    annotations = annotations_of(revision)
    found: dict[str, str] = {}
    for resource in _RESOURCES:
        value = annotations.get(f"{names.QUEUE_RESOURCE_PREFIX}{resource}-resource-{kind[:-1]}")
        if value:
            found[resource] = value
    return found


def _share(revision: Obj, kind: str) -> dict[str, str]:
    percentage = first(annotations_of(revision), *_PERCENTAGE)
    if percentage is None:
        return {}
    try:
        factor = Decimal(percentage) / 100
    except InvalidOperation:
        return {}
    amounts = (serving_container(revision).get("resources") or {}).get(kind) or {}
    found: dict[str, str] = {}
    for resource in ("cpu", "memory"):
        if resource in amounts:
            low, high = _BOUNDS[kind, resource]
            amount = min(max(parse_quantity(str(amounts[resource])) * factor, low), high)
            found[resource] = _written(amount, resource)
    return found


def _written(amount: Decimal, resource: str) -> str:
    if resource == "cpu":
        return f"{int(amount * 1000)}m"
    return str(int(amount))
