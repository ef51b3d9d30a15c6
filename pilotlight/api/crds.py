"""The CustomResourceDefinitions, rendered from the models.

`python -m pilotlight.api.crds [directory]` writes them; a test compares what is checked in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from pilotlight import __version__
from pilotlight.api.domain_mapping import DomainMapping
from pilotlight.api.ingress import Ingress
from pilotlight.api.model import Model
from pilotlight.api.pod_autoscaler import PodAutoscaler
from pilotlight.api.schema import object_schema
from pilotlight.api.serving import Configuration, Revision, Route, Service
from pilotlight.names import (
    AUTOSCALING_GROUP,
    CONFIGURATION_GENERATION_LABEL,
    CONFIGURATION_LABEL,
    NETWORKING_GROUP,
    SERVING_GROUP,
)

_PUBLIC: Final = ("all", "knative", "serving")
_ADDRESSABLE: Final = "duck.knative.dev/addressable"
_PODSPECABLE: Final = "duck.knative.dev/podspecable"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"


def _label(name: str) -> str:
    escaped = name.replace(".", r"\.")
    return f".metadata.labels['{escaped}']"


_READY: Final = Column("Ready", ".status.conditions[?(@.type=='Ready')].status")
_REASON: Final = Column("Reason", ".status.conditions[?(@.type=='Ready')].reason")
_URL: Final = Column("URL", ".status.url")
_LATEST: Final = (
    Column("LatestCreated", ".status.latestCreatedRevisionName"),
    Column("LatestReady", ".status.latestReadyRevisionName"),
)


@dataclass(frozen=True, slots=True)
class Definition:
    """One CRD: the model and the names under which kubectl finds it."""

    model: type[Model]
    group: str
    version: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    categories: tuple[str, ...] = _PUBLIC
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.model.__name__

    @property
    def plural(self) -> str:
        singular = self.kind.lower()
        return f"{singular}es" if singular.endswith("s") else f"{singular}s"

    @property
    def file_name(self) -> str:
        return f"{self.plural}.yaml"


DEFINITIONS: Final = (
    Definition(
        model=Service,
        group=SERVING_GROUP,
        version="v1",
        short_names=("kservice", "ksvc"),
        columns=(_URL, *_LATEST, _READY, _REASON),
        labels=(_ADDRESSABLE, _PODSPECABLE),
    ),
    Definition(
        model=Configuration,
        group=SERVING_GROUP,
        version="v1",
        short_names=("config", "cfg"),
        columns=(*_LATEST, _READY, _REASON),
        labels=(_PODSPECABLE,),
    ),
    Definition(
        model=Revision,
        group=SERVING_GROUP,
        version="v1",
        short_names=("rev",),
        columns=(
            Column("Config Name", _label(CONFIGURATION_LABEL)),
            Column("Generation", _label(CONFIGURATION_GENERATION_LABEL)),
            _READY,
            _REASON,
            Column("Actual Replicas", ".status.actualReplicas", "integer"),
            Column("Desired Replicas", ".status.desiredReplicas", "integer"),
        ),
    ),
    Definition(
        model=Route,
        group=SERVING_GROUP,
        version="v1",
        short_names=("rt",),
        columns=(_URL, _READY, _REASON),
        labels=(_ADDRESSABLE,),
    ),
    Definition(
        model=DomainMapping,
        group=SERVING_GROUP,
        version="v1beta1",
        short_names=("dm",),
        columns=(_URL, _READY, _REASON),
    ),
    Definition(
        model=PodAutoscaler,
        group=AUTOSCALING_GROUP,
        version="v1alpha1",
        short_names=("kpa", "pa"),
        columns=(
            Column("DesiredScale", ".status.desiredScale", "integer"),
            Column("ActualScale", ".status.actualScale", "integer"),
            _READY,
            _REASON,
        ),
        categories=("knative-internal", "autoscaling"),
    ),
    Definition(
        model=Ingress,
        group=NETWORKING_GROUP,
        version="v1alpha1",
        short_names=("kingress", "king"),
        columns=(_READY, _REASON),
        categories=("knative-internal", "networking"),
    ),
)


def render(definition: Definition) -> dict[str, Any]:
    """The CRD as an object."""
    labels = {
        "app.kubernetes.io/name": "knative-serving",
        "app.kubernetes.io/version": __version__,
        "knative.dev/crd-install": "true",
        **dict.fromkeys(definition.labels, "true"),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{definition.group}", "labels": labels},
        "spec": {
            "group": definition.group,
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.kind.lower(),
                "categories": list(definition.categories),
                "shortNames": list(definition.short_names),
            },
            "scope": "Namespaced",
            "versions": [_version(definition)],
        },
    }


def _version(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": column.name, "type": column.type, "jsonPath": column.path}
            for column in definition.columns
        ],
        "schema": {"openAPIV3Schema": object_schema(definition.model)},
    }


def rendered_files() -> Iterator[tuple[str, str]]:
    """The name and the text of each file."""
    for definition in DEFINITIONS:
        text = yaml.dump(
            render(definition), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
        )
        yield definition.file_name, "# Rendered by `python -m pilotlight.api.crds`.\n" + text


class _Dumper(yaml.SafeDumper):
    """Writes repeated parts in full: the API server has no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def main(arguments: list[str]) -> None:
    directory = Path(arguments[0] if arguments else "crds")
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in rendered_files():
        (directory / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
