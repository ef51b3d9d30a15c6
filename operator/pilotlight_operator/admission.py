"""Defaulting and validation as kopf's admission handlers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, NoReturn

import kopf

from pilotlight.api.admission import (
    AdmissionContext,
    DecodeError,
    Operation,
    default,
    undecodable,
    validate,
    validation_failed,
)
from pilotlight_operator.metrics import Metrics
from pilotlight_operator.objects import Obj
from pilotlight_operator.settings import Settings
from pilotlight_operator.webhooks import ADMITTED, DEFAULTING, VALIDATION

_BAD_REQUEST: Final = 400


class Admission:
    """Answers admission requests with the settings of the moment."""

    def __init__(self, settings: Callable[[], Settings], metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    def register(self, registry: kopf.OperatorRegistry) -> None:
        for resource in ADMITTED:
            where: dict[str, Any] = {
                "group": resource.group,
                "version": resource.version,
                "plural": resource.plural,
                "subresource": "*",
                "registry": registry,
            }
            kopf.on.mutate(id=DEFAULTING, **where)(self.default)
            kopf.on.validate(id=VALIDATION, **where)(self.validate)

    async def default(self, *, patch: kopf.Patch, body: kopf.Body, **request: Any) -> None:
        """Fill in what the client has left out."""
        try:
            defaulted = default(dict(body), _old(request), self._context(request))
        except DecodeError as error:
            self._deny(DEFAULTING, undecodable(error))
        self._count(DEFAULTING, "allowed")
        if defaulted != dict(body):
            patch.fns.append(lambda obj: _become(obj, defaulted))

    async def validate(self, *, warnings: list[str], body: kopf.Body, **request: Any) -> None:
        """Refuse what is wrong, warn of what is questionable."""
        if request["operation"] == Operation.DELETE:
            return
        try:
            errors = validate(dict(body), _old(request), self._context(request))
        except DecodeError as error:
            self._deny(VALIDATION, f"decoding request failed: {error}")
        warnings.extend(errors.warnings)
        if errors.errors:
            self._deny(VALIDATION, validation_failed(errors))
        self._count(VALIDATION, "allowed")

    def _context(self, request: dict[str, Any]) -> AdmissionContext:
        return self._settings().admission(
            operation=Operation(request["operation"]),
            user=str((request.get("userinfo") or {}).get("username") or ""),
            subresource=request.get("subresource") or "",
            dry_run=bool(request.get("dryrun")),
        )

    def _deny(self, webhook: str, message: str) -> NoReturn:
        self._count(webhook, "denied")
        raise kopf.AdmissionError(message, code=_BAD_REQUEST)

    def _count(self, webhook: str, outcome: str) -> None:
        self._metrics.admissions.labels(webhook, outcome).inc()


def _old(request: dict[str, Any]) -> Obj | None:
    old = request.get("old")
    return dict(old) if old else None


def _become(obj: Any, wanted: Obj) -> None:
    obj.clear()
    obj.update(copy.deepcopy(wanted))
