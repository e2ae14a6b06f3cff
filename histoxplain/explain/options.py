"""Options of a method as text, for command lines: NAME=VALUE."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histoxplain._checks import check, check_one_of

if TYPE_CHECKING:
    from histoxplain.explain.explainer import Explainer


def options_of(kind: type[Explainer]) -> dict[str, Any]:
    """The options that a method takes, and their defaults.

    Example:
        >>> from histoxplain.explain import METHODS
        >>> options_of(METHODS["pixels"])["levels"]
        32
    """
    found: dict[str, Any] = {}
    for cls in kind.__mro__:
        if "__init__" in vars(cls):
            parameters = inspect.signature(cls.__init__).parameters.values()
            named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
            found = {p.name: p.default for p in named} | found
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break  # what it does not name it does not hand on
    return found


def parse_options(kind: type[Explainer], given: Sequence[str]) -> dict[str, Any]:
    """Values of NAME=VALUE texts: numbers, true, false, null and lists as JSON writes them, anything else as text.

    Args:
        kind: the method.
        given: texts such as "steps=20".

    Raises:
        InputError: if there is no such option, or its value is of another kind than the default's.

    Example:
        >>> from histoxplain.explain import METHODS
        >>> parse_options(METHODS["pixels"], ["steps=20"])
        {'steps': 20}
    """
    known, values = options_of(kind), {}
    for text in given:
        name, equals, value = text.partition("=")
        check(bool(equals), "option", "be NAME=VALUE", repr(text), f"known are {', '.join(sorted(known))}")
        check_one_of("option", name, sorted(known))
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
        default = known[name]
        kinds = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}.get(type(default))
        alike = kinds is None or (
            isinstance(values[name], kinds) and isinstance(values[name], bool) is (kinds == (bool,))
        )
        check(alike, name, f"be {type(default).__name__} as its default {default!r}", repr(value))
    return values
