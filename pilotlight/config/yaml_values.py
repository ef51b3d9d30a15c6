"""YAML inside the value of a ConfigMap's key.

The library is imported only where such a value is found: few ConfigMaps hold any.
"""

from __future__ import annotations

from typing import Any


def mapping(text: str) -> dict[str, Any]:
    """A YAML mapping; an empty text is an empty one. Else ValueError."""
    if not text.strip():
        return {}
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("not a YAML mapping")
    return {str(key): entry for key, entry in value.items()}
