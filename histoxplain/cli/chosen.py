"""What a user chose on the command line, to be written down in reports."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def chosen(command: Any, *always: str) -> dict[str, Any]:
    """The options of a verb that differ from their defaults.

    Args:
        command: the verb's dataclass.
        always: options that are named even so, because results depend on them.

    Example:
        >>> from histoxplain.cli.lab import Command
        >>> chosen(Command(browser=False), "port")
        {'port': 8888, 'browser': False}
    """
    given = {one.name: (getattr(command, one.name), one.default) for one in fields(command)}
    return {name: value for name, (value, default) in given.items() if name in always or value != default}
