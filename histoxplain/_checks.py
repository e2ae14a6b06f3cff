"""Guards with one phrasing: `` `name` must <rule>, got <value>; <way out>. ``"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class InputError(ValueError):
    """The user's input is at fault; the message says what was expected and what to do next."""


def check(ok: bool, name: str, rule: str, got: Any, way_out: str = "") -> None:
    """Raise `InputError` unless `ok`.

    Example:
        >>> check(False, "count", "be at least 1", 0, "ask for 1 or more")
        Traceback (most recent call last):
        histoxplain._checks.InputError: `count` must be at least 1, got 0; ask for 1 or more.
    """
    if not ok:
        raise InputError(f"`{name}` must {rule}, got {got}" + (f"; {way_out}." if way_out else "."))


def check_one_of(name: str, value: Any, options: Iterable[Any]) -> None:
    """`value` must be one of `options`; the message names the nearest one.

    Example:
        >>> check_one_of("target", "bening", ["benign", "other"])
        Traceback (most recent call last):
        histoxplain._checks.InputError: `target` must be one of benign, other, got 'bening'; nearest valid is 'benign'.
    """
    options = list(options)
    if value in options:
        return
    near = get_close_matches(str(value), [str(option) for option in options], n=1, cutoff=0.4)
    hint = f"nearest valid is {near[0]!r}" if near else ""
    check(False, name, "be one of " + ", ".join(map(str, options)), repr(value), hint)


def check_power_of_two(name: str, value: int, least: int = 4) -> None:
    """`value` must be a power of two, at least `least`; the message names the nearest ones."""
    if value >= least and value & (value - 1) == 0:
        return
    low = max(least, 1 << max(value, 1).bit_length() - 1)
    near = f"nearest valid is {low}" if value < least else f"nearest valid are {low} and {2 * low}"
    check(False, name, f"be a power of two of at least {least}", value, near)


def check_at_least(name: str, value: float, least: float) -> None:
    """`value` must be at least `least`."""
    check(value >= least, name, f"be at least {least}", value, f"nearest valid is {least}")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """`value` must lie in `[low, high]`."""
    check(
        low <= value <= high, name, f"lie in [{low}, {high}]", value, f"nearest valid is {min(max(value, low), high)}"
    )


def check_exists(name: str, path: str | Path) -> Path:
    """`path` must exist; returns it as a `Path`."""
    path = Path(path)
    if not path.exists():
        folder = path.parent
        near = get_close_matches(path.name, [p.name for p in folder.iterdir()], n=1) if folder.is_dir() else []
        hint = f"did you mean {folder / near[0]}?" if near else "check the spelling and the folder you are in"
        raise InputError(
            f"`{name}` must be an existing file or folder, got {path}; {hint.rstrip('.')}" + "." * bool(not near)
        )
    return path


def check_images(name: str, x: Tensor, channels: int | None = None) -> None:
    """`x` must be a floating-point tensor `(N, C, H, W)`, with `channels` channels if given."""
    shape = tuple(x.shape)
    check(x.ndim == 4, name, "have shape (N, C, H, W)", shape, "add a batch axis with `x[None]`" if x.ndim == 3 else "")
    check(x.is_floating_point(), name, "be floating point in [-1, 1]", x.dtype, "use `hx.data.to_unit` on uint8 images")
    if channels is not None:
        check(shape[1] == channels, name, f"have {channels} channels", shape, "convert between grey and RGB first")
