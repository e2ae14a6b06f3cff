"""Pickles read as data: an interpreter of their opcodes that can neither import nor call what a file names.

A pickle is a program for a small stack machine. Python's own machine imports any name and calls it; this one looks
names up in a table of ours, and a name that is not there ends the reading.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from histoxplain.models.foreign.stretch import Stretch

Table = Mapping[str, Any]
LONG = 2**12  # bytes in a row from which on they stay in the file
MOST_OPERATIONS = 200_000  # a large file of three networks takes some fifty thousand
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
NUMBERS = {"f8": "<d", "f4": "<f", "f2": "<e", "i8": "<q", "i4": "<i", "i2": "<h", "u1": "<B", "i1": "<b", "b1": "<?"}


class RefusedError(ValueError):
    """Why a file is not read, as the end of a sentence: "which asks to run posix.system"."""


def read_pickle(
    stream: Stretch | BinaryIO,
    table: Table,
    persistent: Callable[[Any], Any] | None = None,
    most: int = MOST_OPERATIONS,
) -> Any:
    """Read one pickle; the stream stands behind it afterwards.

    State that objects would take (`BUILD`) is left aside: no network needs it. The functions in the table must return
    no more than they are given, for a pickle may call them with the same long list a thousand times.

    Args:
        stream: a `Stretch`, of which long rows of bytes come as stretches, unread; or a `BytesIO`. A claimed length
            beyond the end takes no memory in either.
        table: "module.name" -> the function of ours that stands for it, or any other value.
        persistent: turns the persistent ids of `torch.save` into storages.
        most: operations it may take.

    Raises:
        RefusedError: if the pickle names something else, or does what no network needs.
        ValueError, TypeError, IndexError, KeyError, ...: if it is damaged.

    Example:
        >>> import io, os, pickle
        >>> read_pickle(io.BytesIO(pickle.dumps({"a": [1, (2.0, None)]})), {})
        {'a': [1, (2.0, None)]}
        >>> read_pickle(io.BytesIO(pickle.dumps(os.system)), {})
        Traceback (most recent call last):
        histoxplain.models.foreign.pickles.RefusedError: which asks for posix.system; ...
    """
    machine = _Machine(table, persistent)
    source = _Skimmer(stream) if isinstance(stream, Stretch) else stream
    for count, (opcode, argument, _) in enumerate(pickletools.genops(source)):
        if count >= most:
            raise RefusedError(f"which takes more than {most:,} steps to read, far more than a network")
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.do(opcode.name, argument)
    raise EOFError("no STOP")


def scalar(code: str, data: bytes) -> float | int | bool:
    """A number of numpy's.

    Example:
        >>> scalar("f8", bytes(6) + bytes([240, 63]))
        1.0
    """
    return struct.unpack(NUMBERS[_key(code)], data)[0]


def encode(text: str, encoding: str) -> bytes:
    """A few bytes, as protocol 2 writes them."""
    if encoding != "latin1" or len(text) > 1000:
        raise RefusedError("which encodes text, as no network does")
    return text.encode("latin1")


PLAIN: Table = {
    "collections.OrderedDict": lambda: {},
    "builtins.set": lambda items=(): items,  # protocol 3 and older
    "__builtin__.set": lambda items=(): items,
    "_codecs.encode": encode,
    "numpy.dtype": lambda code, *_: code,
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
}


class _Skimmer:
    """A stretch that is read but for its long rows of bytes; long texts are read."""

    def __init__(self, stream: Stretch) -> None:
        self.stream, self.readline, self.opcode = stream, stream.readline, b""

    def read(self, size: int) -> bytes | Stretch:
        """The next bytes, or the stretch that they take."""
        if size >= LONG and self.opcode in (pickle.BINBYTES, pickle.BINBYTES8):
            return self.stream.cut(size)
        data = self.stream.read(size)
        if size == 1:
            self.opcode = data
        return data


class _Machine:
    """The stack, the marks on it, and the memo."""

    def __init__(self, table: Table, persistent: Callable[[Any], Any] | None) -> None:
        self.table, self.persistent = table, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """One opcode."""
        push = self.stack.append
        if name in LITERALS:
            push(argument)
        elif name in CONSTANTS:
            push(CONSTANTS[name])
        elif name in EMPTY:
            push(EMPTY[name]())
        elif name in TUPLES:
            push(tuple(self.take(len(self.stack) - TUPLES[name])))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            push(self.memo[argument])
        elif name not in ("PROTO", "FRAME"):
            action = _ACTIONS.get(name)
            if action is None:
                raise RefusedError(f"which uses the pickle operation {name}, as no network does")
            action(self, argument)

    def take(self, start: int) -> list[Any]:
        """Remove and return what lies on the stack from `start` on."""
        if start < 0:
            raise IndexError("nothing on the stack")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def marked(self) -> list[Any]:
        """Remove and return what was put on the stack since the last mark."""
        return self.take(self.marks.pop())

    def top(self, kind: type) -> Any:
        """The uppermost object, which has to be of a kind."""
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"a {kind.__name__} was expected")
        return self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        """Keys and values, in turn, into the uppermost dictionary."""
        self.top(dict).update({_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def look_up(self, module: Any, name: Any) -> None:
        """Put on the stack what stands for a name."""
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "a name that is no text"
        if full not in self.table:
            raise RefusedError(f"which asks for {full:.120}; only known names are read, and nothing was run")
        self.stack.append(self.table[full])

    def call(self) -> None:
        """Call one of our functions."""
        function, arguments = self.take(len(self.stack) - 2)
        if not callable(function) or not isinstance(arguments, tuple):
            raise TypeError("not a call")
        self.stack.append(function(*arguments))

    def keep(self) -> None:
        """A persistent id."""
        if self.persistent is None:
            raise RefusedError("which refers to data outside itself")
        self.stack.append(self.persistent(self.stack.pop()))


_ACTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "LIST": lambda m, _: m.stack.append(m.marked()),
    "FROZENSET": lambda m, _: m.stack.append(frozenset(map(_key, m.marked()))),
    "DICT": lambda m, _: (items := m.marked(), m.stack.append({}), m.set_items(items)),
    "APPEND": lambda m, _: (item := m.stack.pop(), m.top(list).append(item)),
    "APPENDS": lambda m, _: (items := m.marked(), m.top(list).extend(items)),
    "SETITEM": lambda m, _: m.set_items(m.take(len(m.stack) - 2)),
    "SETITEMS": lambda m, _: m.set_items(m.marked()),
    "ADDITEMS": lambda m, _: (items := m.marked(), m.top(set).update(map(_key, items))),
    "GLOBAL": lambda m, names: m.look_up(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.look_up(*m.take(len(m.stack) - 2)),
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.stack.pop(),
    "BINPERSID": lambda m, _: m.keep(),
}


def _key(key: Any) -> Any:
    """A dictionary's key; nested tuples take exponential time to hash, so keys are plain."""
    if isinstance(key, str | bytes | float | None) or (isinstance(key, int) and key.bit_length() <= 64):
        return key
    raise RefusedError(f"which uses a {type(key).__name__} as a key")
