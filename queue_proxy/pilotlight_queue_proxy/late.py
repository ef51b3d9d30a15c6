"""Modules of the standard library that are loaded when somebody calls something in them.

A queue-proxy starts with its pod, and most of its start is imports: asyncio and uvloop import TLS,
subprocesses, and what prints tracebacks, of which it uses nothing or only in trouble. What stands
here in their place costs a fifth of the start, and of the memory, less: docs/performance.md.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any, Final, cast

# What others read at their import and do not only call.
_VALUES: Final = {"subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3}}
_LATE: Final = ("inspect", "random", "subprocess", "traceback")


# What `import` takes as: there is no such module.
_NOTHING: Final = cast("ModuleType", None)


class LateName:
    """Something in a module that is loaded when this is called, or asked for an attribute."""

    __slots__ = ("_module", "_name")

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> Any:
        if isinstance(sys.modules.get(self._module), LateModule):
            del sys.modules[self._module]
        return getattr(importlib.import_module(self._module), self._name)


class LateModule(ModuleType):
    """Stands for a module of the same name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return LateName(self.__name__, name)


class _NoTLS(LateModule):
    """What uvloop reads of `ssl` at its import, numbers among it."""

    def __getattr__(self, name: str) -> Any:
        return 0 if name.isupper() else super().__getattr__(name)


def postpone(*, tls: bool) -> None:
    """Import asyncio and uvloop without what is not needed at the start, before anything else has
    imported them.

    Args:
        tls: whether they have to speak TLS in this process.
    """
    for name in _LATE:
        if name not in sys.modules:
            module = sys.modules[name] = LateModule(name)
            module.__dict__.update(_VALUES.get(name, {}))
    # hmac does without: its own hash is enough for a greeting, and OpenSSL large.
    sys.modules.setdefault("_hashlib", _NOTHING)
    from pilotlight import names

    tls = tls or os.path.exists(f"{names.CERTIFICATES_PATH}/tls.crt")
    without_tls = not tls and "ssl" not in sys.modules
    if without_tls:
        sys.modules["ssl"] = _NOTHING
    importlib.import_module("asyncio")
    if without_tls:
        sys.modules["ssl"] = _NoTLS("ssl")
    importlib.import_module("uvloop")
