"""The names under which a Route and its tags are reached, inside the cluster and from outside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pilotlight import names
from pilotlight.kube.resources import CORE_SERVICES
from pilotlight_operator.objects import (
    Obj,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
)
from pilotlight_operator.settings import Settings
from pilotlight_operator.traffic import DEFAULT_TAG
from pilotlight_operator.view import View

_LONGEST_HOST: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class HostError(ValueError):
    """The templates make a name that is none in DNS; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """`internal` are the three spellings inside the cluster, shortest first; `external` is empty
    for what is only reachable there. `service` is the name of the placeholder Service.
    """

    service: str
    internal: tuple[str, ...]
    external: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        return not self.external

    def url(self, scheme: str) -> str:
        """What a person opens; inside the cluster it is plain HTTP."""
        return f"http://{self.internal[-1]}" if self.is_local else f"{scheme}://{self.external[0]}"


def hosts_of(route: Obj, settings: Settings, view: View) -> dict[str, Hosts]:
    """By tag, the Route's own under "". Raises HostError."""
    tags = [DEFAULT_TAG, *sorted(_tags(route))]
    return {tag: _hosts(route, tag, settings, view) for tag in tags}


def _tags(route: Obj) -> set[str]:
    return {entry["tag"] for entry in spec_of(route).get("traffic") or () if entry.get("tag")}


def _hosts(route: Obj, tag: str, settings: Settings, view: View) -> Hosts:
    namespace = namespace_of(route)
    name = settings.network.tagged(tag, name_of(route))
    full = names.service_host(name, namespace, settings.cluster_domain)
    _check(full)
    short = f"{name}.{namespace}"
    internal = (short, f"{short}.svc", full)
    domain = settings.domain.domain_for(labels_of(route))
    if domain == settings.domain.local_domain or _is_local(route, name, view):
        return Hosts(name, internal)
    host = settings.network.host(name, namespace, domain, route["metadata"])
    _check(host)
    return Hosts(name, internal, (host,))


def _is_local(route: Obj, service: str, view: View) -> bool:
    """By the Route's own label, or by that of the placeholder, which may be set on one tag."""
    if labels_of(route).get(names.VISIBILITY_LABEL) == names.CLUSTER_LOCAL:
        return True
    placeholder = view.get(CORE_SERVICES, namespace_of(route), service)
    return (
        placeholder is not None
        and labels_of(placeholder).get(names.VISIBILITY_LABEL) == names.CLUSTER_LOCAL
    )


def _check(host: str) -> None:
    if len(host) > _LONGEST_HOST:
        raise HostError(
            f'invalid domain name "{host}": it has {len(host)} characters, {_LONGEST_HOST} fit: '
            "choose shorter names for the Service, its namespace or its tags"
        )
    for label in host.split("."):
        if not _LABEL.fullmatch(label):
            raise HostError(
                f'invalid domain name "{host}": "{label}" is no name of at most 63 lower-case '
                "letters, digits and dashes: choose a shorter name, or correct the templates in "
                f"{names.CONFIG_NETWORK}"
            )
