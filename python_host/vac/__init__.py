"""VAC: a deterministic computer in four bit-identical forms, and the host that drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .memory.address import LA128
    from .runtime.errors import VacError
    from .runtime.vac import VAC
    from .runtime.vac_image import VacImage
    from .runtime.vac_runtime import VacRuntime

__all__ = ["LA128", "VAC", "VacError", "VacImage", "VacRuntime"]

_PLACES = {
    "LA128": "memory.address",
    "VAC": "runtime.vac",
    "VacError": "runtime.errors",
    "VacImage": "runtime.vac_image",
    "VacRuntime": "runtime.vac_runtime",
}


def __getattr__(name: str) -> Any:
    """The names above are imported when they are first asked for: most users of a module need none of them."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
