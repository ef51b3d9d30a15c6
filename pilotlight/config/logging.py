"""ConfigMap `config-logging`: how much each component says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pilotlight.config.go_values import ConfigError

DEFAULT_LEVEL: Final = "info"
LEVELS: Final = ("debug", "info", "warn", "error", "dpanic", "panic", "fatal")
_PREFIX: Final = "loglevel."
_ZAP_KEY: Final = "zap-logger-config"


@dataclass(frozen=True, slots=True)
class Logging:
    """The level of every component, and the settings passed on to the sidecars as they are."""

    zap_logger_config: str = ""
    default_level: str = DEFAULT_LEVEL
    levels: Mapping[str, str] = field(default_factory=dict)
    """By component: `controller`, `autoscaler`, `activator`, `queueproxy`, `webhook`."""

    def level(self, component: str) -> str:
        return self.levels.get(component, self.default_level)


def parse(data: Mapping[str, str]) -> Logging:
    """Read the ConfigMap's data. Raises ConfigError for a level that does not exist; settings
    that are no JSON are kept, as Knative keeps them."""
    levels = {}
    for key, text in data.items():
        if key.startswith(_PREFIX) and text:
            if text.lower() not in LEVELS:
                raise ConfigError(key, text, f'unrecognized level: "{text}"')
            levels[key.removeprefix(_PREFIX)] = text.lower()
    zap = data.get(_ZAP_KEY, "")
    return Logging(zap_logger_config=zap, default_level=_zap_level(zap), levels=levels)


def _zap_level(text: str) -> str:
    try:
        settings: Any = json.loads(text) if text else {}
    except ValueError:
        return DEFAULT_LEVEL
    level = settings.get("level") if isinstance(settings, dict) else None
    return level.lower() if isinstance(level, str) and level.lower() in LEVELS else DEFAULT_LEVEL
