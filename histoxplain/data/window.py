"""Windows: which grey values of a scan become black, which white (PS3.3 C.11.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histoxplain._checks import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

Window = int | tuple[float, float] | None
"""A window of the file by its number, from 1; or centre and width; None for the file's first."""
NO_WINDOW = "none in the file: black is its smallest value, white its largest"


def parse_window(text: str | None) -> Window:
    """A window as people write it: a number of the file's, or CENTRE/WIDTH.

    Raises:
        InputError: if it is neither.

    Example:
        >>> parse_window("2"), parse_window("-600/1500"), parse_window(None)
        (2, (-600.0, 1500.0), None)
    """
    if text is None:
        return None
    centre, slash, width = text.partition("/")
    try:
        window = (float(centre), float(width)) if slash else int(centre)
    except ValueError:
        window = 0
    if (window if isinstance(window, int) else window[1]) <= 0:
        rule = "be the number of a file's window, from 1, or CENTRE/WIDTH"
        raise InputError(f"`window` must {rule}, got {text!r}; for lungs in CT try -600/1500.")
    return window


def choose_window(dataset: Dataset, window: Window) -> tuple[float, float, str] | None:
    """Centre, width and what to call it; None where the file has none and none was asked for.

    Raises:
        ValueError: if the file has no window of that number.
    """
    if isinstance(window, tuple):
        return *window, f"{window[0]:g}/{window[1]:g}, as asked for"
    centres, widths = (_numbers(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    known = list(zip(centres, widths))
    number = 1 if window is None else window
    if window is not None and number > len(known):
        listed = ", ".join(f"{i + 1}: {c:g}/{w:g}" for i, (c, w) in enumerate(known)) or "none"
        raise ValueError(f"has no window {number}; its windows are {listed}")
    if not known:
        return None
    centre, width = known[number - 1]
    return centre, width, f"{centre:g}/{width:g}, number {number} of {len(known)} in the file"


def shares(
    values: np.ndarray, dataset: Dataset, window: tuple[float, float, str] | None, padding: np.ndarray
) -> tuple[np.ndarray, str]:
    """Grey values `(H, W)` as shares of white in [0, 1], and in words how they became that."""
    if window is None and dataset.get("VOILUTSequence"):
        return _by_table(values, dataset), "the file's table of shades"
    if window is None:
        if dataset.BitsStored <= 8 and values.min() >= 0 and values.max() <= 255:
            return values / 255.0, "8-bit values as they are"
        kept = values[~padding] if not padding.all() else values
        low, high = float(kept.min()), float(kept.max())
        return np.clip((values - low) / max(high - low, 1e-6), 0, 1), NO_WINDOW
    centre, width, how = window
    kind = dataset.get("VOILUTFunction") or "LINEAR"
    values, width = values.astype(np.float64), max(width, 1e-6)
    if kind == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60))), how
    low, span = centre - width / 2, width
    if kind == "LINEAR":
        low, span = centre - 0.5 - (width - 1) / 2, max(width - 1, 1e-6)
    return np.clip((values - low) / span, 0, 1), how


def _by_table(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    from pydicom.pixels import apply_voi

    table = dataset.VOILUTSequence[0]
    bits = int(table.LUTDescriptor[2])
    return apply_voi(np.rint(values).astype(np.int64), dataset) / (2**bits - 1)


def _numbers(value: object) -> list[float]:
    """One or several numbers as a list; nothing as an empty one."""
    if value is None or value == "":
        return []
    return [float(x) for x in value] if isinstance(value, list | tuple) or hasattr(value, "insert") else [float(value)]


def first(value: object) -> float | None:
    """The first of one or several numbers; None if there is none.

    Example:
        >>> first([40, 80]), first(None)
        (40.0, None)
    """
    return next(iter(_numbers(value)), None)
