"""`python -m pilotlight_operator`: takes no arguments, everything comes from the environment."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, cast

from pilotlight import logs, process


def main() -> int:
    logs.configure("operator")
    # kopf reads the objects of the `kubernetes` package where that is installed; nobody here makes
    # any, and its import costs a quarter of a second and 30 MB.
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    hidden: Any = {name: modules.get(name) for name in ("kubernetes", "pykube")}
    modules.update(dict.fromkeys(hidden))
    try:
        from pilotlight_operator.app import main as operate
    finally:
        for name, module in hidden.items():
            if module is None:
                del modules[name]
            else:
                modules[name] = module
    return process.run(operate)


if __name__ == "__main__":
    sys.exit(main())
