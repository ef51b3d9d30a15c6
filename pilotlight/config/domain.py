"""ConfigMap `config-domain`: the domains of routes, each with the labels it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotlight.config.example import EXAMPLE_KEY
from pilotlight.config.go_values import ConfigError
from pilotlight.config.yaml_values import mapping
from pilotlight.names import CLUSTER_DOMAIN, CLUSTER_LOCAL, VISIBILITY_LABEL

_RESERVED: Final = frozenset({EXAMPLE_KEY})


@dataclass(frozen=True, slots=True)
class DomainRule:
    """A domain for routes whose labels hold all of the selector; without one, for all others."""

    domain: str
    selector: tuple[tuple[str, str], ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.selector)


@dataclass(frozen=True, slots=True)
class Domain:
    """All rules. Without one for all routes, those left over are local to the cluster."""

    rules: tuple[DomainRule, ...] = ()
    cluster_domain: str = CLUSTER_DOMAIN

    @property
    def local_domain(self) -> str:
        return f"svc.{self.cluster_domain}"

    def domain_for(self, labels: Mapping[str, str]) -> str:
        """The domain of a route with these labels: the longest selector wins, then the name."""
        if labels.get(VISIBILITY_LABEL) == CLUSTER_LOCAL:
            return self.local_domain
        fitting = [rule for rule in self.rules if rule.selects(labels)]
        best = min(fitting, key=lambda rule: (-len(rule.selector), rule.domain), default=None)
        return best.domain if best else self.local_domain


def parse(data: Mapping[str, str], cluster_domain: str = CLUSTER_DOMAIN) -> Domain:
    """Read the ConfigMap's data. Raises ConfigError."""
    rules = [_rule(key, text) for key, text in data.items() if key not in _RESERVED]
    return Domain(tuple(sorted(rules, key=lambda rule: rule.domain)), cluster_domain)


def _rule(domain: str, text: str) -> DomainRule:
    try:
        value = mapping(text)
    except ValueError as error:
        raise ConfigError(domain, text, str(error)) from error
    selector = value.get("selector") or {}
    if not isinstance(selector, dict):
        raise ConfigError(domain, text, "selector must be a map of labels")
    labels = tuple(sorted((str(key), str(label)) for key, label in selector.items()))
    return DomainRule(domain, labels)
