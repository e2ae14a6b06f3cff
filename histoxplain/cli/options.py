"""A verb's options from words; and their help as people like to read it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tyro.conf import arg

Kind = TypeVar("Kind")
METAVARS = {str: "TEXT", bool: "{True,False}"}
"""What stands for a value of a type, where its name in capitals does not say it."""
_DESCRIBED: set[type] = set()


def read_options(kind: type[Kind], arguments: Sequence[str], prog: str, description: str | None, **more: Any) -> Kind:
    """A verb's dataclass from the words behind the verb.

    Args:
        kind: the dataclass.
        arguments: the words.
        prog: what the user typed before them.
        description: what the help says first.
        more: options of `tyro.cli`.
    """
    import tyro

    describe_options(kind)
    return tyro.cli(kind, args=list(arguments), prog=prog, description=reflowed(description), **more)


def describe_options(kind: type) -> None:
    """Write help and value names into a dataclass's annotations, and into those of dataclasses within.

    Sentences below fields become one paragraph each, a default of None or of nothing is not mentioned, and neither is
    None as a value. Once is enough.
    """
    if kind in _DESCRIBED:
        return
    _DESCRIBED.add(kind)
    hints = get_type_hints(kind, include_extras=True)
    said = docstrings(kind)
    for one in fields(kind):
        bare = bare_type(hints[one.name])
        if is_dataclass(bare):
            describe_options(bare)
        else:
            noted = get_args(hints[one.name])[1:] if get_origin(hints[one.name]) is Annotated else ()
            hints[one.name] = Annotated[(bare, described(bare, said.get(one.name)), *noted)]
    kind.__annotations__ = hints


def described(bare: Any, said: str | None) -> Any:
    """What tyro is to know of a field of a type besides its type."""
    return arg(help=said, metavar=metavar(bare), help_behavior_hint=default_hint)


def default_hint(default: str) -> str:
    """What the help says of a default.

    Example:
        >>> default_hint("0.5"), default_hint("None"), default_hint("")
        ('(default: 0.5)', '', '')
    """
    return "" if default in ("", "None") else f"(default: {default})"


def docstrings(kind: type) -> dict[str, str]:
    """The docstrings below a dataclass's fields, and those of its bases, as one paragraph each."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0].body
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def bare_type(hint: Any) -> Any:
    """A type without what was noted on it."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def metavar(bare: Any) -> str | None:
    """What stands for a value that may be left out, or for a text; None where tyro knows best.

    Example:
        >>> [metavar(kind) for kind in (int | None, str, Literal["a", "b"] | None, tuple[int, ...] | None)]
        ['INT', 'TEXT', '{a,b}', 'INT [INT ...]']
    """
    if bare is str:
        return METAVARS[str]
    if get_origin(bare) not in (Union, UnionType) or NoneType not in get_args(bare):
        return None
    kinds = [kind for kind in get_args(bare) if kind is not NoneType]
    return word_for(kinds[0]) if len(kinds) == 1 else None


def word_for(kind: Any) -> str:
    """What stands for a value of a type."""
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        several = [f"[{word_for(first)} ...]"] if others == [Ellipsis] else map(word_for, others)
        return " ".join([word_for(first), *several])
    return METAVARS.get(kind) or kind.__name__.upper()


def reflowed(text: str | None) -> str | None:
    """Paragraphs in one line each, for the terminal to break."""
    return text and "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
