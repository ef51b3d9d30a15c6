"""Where the CRDs, manifests and examples are: in the package, or in the source tree around it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_PLACES: Final = (_PACKAGE / "_assets", _PACKAGE.parents[1])


class AssetError(Exception):
    """This installation lacks its manifests."""


def assets() -> Path:
    """The directory with `crds`, `manifests` and `examples`."""
    for place in _PLACES:
        if (place / "crds").is_dir() and (place / "manifests").is_dir():
            return place
    raise AssetError(
        f"neither {_PLACES[0]} nor {_PLACES[1]} has the directories crds and manifests"
    )
