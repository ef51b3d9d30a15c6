"""The part of Go's text templates that ConfigMaps use: fields, and `index` into maps.

`{{.Name}}.{{.Namespace}}.{{.Domain}}`, `{{index .Labels "team"}}`, `{{.Annotations.sub}}`.
Anything more (conditions, pipes, loops) is refused when the ConfigMap is read, with the words that
are understood, rather than rendered wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

Values = Mapping[str, str | Mapping[str, str]]

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_FIELD = re.compile(r"\.(\w+)")
_ENTRY = re.compile(r"\.(\w+)\.(\w+)")
_INDEX = re.compile(r'index\s+\.(\w+)\s+(?:"([^"]*)"|`([^`]*)`)')
_MISSING: Final = ""


def check_template(template: str, fields: Iterable[str], maps: Iterable[str] = ()) -> None:
    """Raise ValueError unless the template uses only these fields, and entries of these maps."""
    known, known_maps = set(fields), set(maps)
    for action in _actions(template):
        field, entry = _parse(action)
        if field not in (known if entry is None else known_maps):
            raise ValueError(f"can't evaluate field {field} in the template {template!r}")


def render_template(template: str, values: Values) -> str:
    """Fill in a template that `check_template` has accepted. An absent map entry is empty."""

    def replace(match: re.Match[str]) -> str:
        field, entry = _parse(match[1])
        value = values.get(field, _MISSING)
        if entry is None:
            return value if isinstance(value, str) else _MISSING
        return value.get(entry, _MISSING) if isinstance(value, Mapping) else _MISSING

    return _ACTION.sub(replace, template)


def _actions(template: str) -> list[str]:
    rest = _ACTION.sub("", template)
    if "{{" in rest or "}}" in rest:
        raise ValueError(f"unclosed action in the template {template!r}")
    return [match[1] for match in _ACTION.finditer(template)]


def _parse(action: str) -> tuple[str, str | None]:
    """The field that an action names, and the entry of it if it is a map."""
    if match := _FIELD.fullmatch(action):
        return match[1], None
    if match := _ENTRY.fullmatch(action):
        return match[1], match[2]
    if match := _INDEX.fullmatch(action):
        return match[1], match[2] if match[2] is not None else match[3]
    raise ValueError(
        f"the action {{{{{action}}}}} is not understood: "
        'use {{.Field}}, {{.Map.entry}} or {{index .Map "entry"}}'
    )
