"""Rooms load their files on first touch (PEP 562), so that importing histoxplain costs milliseconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def attach(
    package: str, names: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Give a room its lazy `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: the room's dotted name (`__name__`).
        names: file -> the public names it provides.
        modules: files that are public themselves (`hx.data.synthetic`).

    A name that its own file shares (`ops.bias_act`) is loaded at once: importing the file would otherwise put the
    module where the function belongs.

    Example:
        >>> getattr_, _, names = attach("histoxplain", {"_checks": ["InputError"]})
        >>> names, getattr_("InputError").__name__
        (['InputError'], 'InputError')
    """
    home = {name: file for file, exported in names.items() for name in exported}
    for name in [name for name, file in home.items() if name == file]:
        setattr(sys.modules[package], name, getattr(import_module(f"{package}.{name}"), name))

    def __getattr__(name: str) -> Any:
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = sorted([*home, *modules])
    return __getattr__, lambda: public, public
