"""One door for optional packages."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package, or say how to install it.

    Args:
        module: the module's dotted name.
        extra: the extra of histoxplain that brings it.

    Raises:
        ImportError: if it is not installed, with the command that installs it.

    Example:
        >>> require("json", extra="none").dumps([1])
        '[1]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        message = f'`{name}` is needed here; install it with `pip install "histoxplain[{extra}]"`.'
        raise ImportError(message) from error
