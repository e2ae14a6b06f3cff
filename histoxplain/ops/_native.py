"""When native kernels are used: built and loaded at the first use of an op, tried once, never fatal unless asked.

The environment's HISTOXPLAIN_NATIVE decides: `0` never, `1` (default) if they can be had, `require` or fail.
"""

from __future__ import annotations

import os
import warnings
from threading import RLock

import torch

from histoxplain._checks import check_one_of
from histoxplain.ops._toolchain import BuildError

_outcomes: dict[str, bool | BuildError] = {}
_lock = RLock()


def load(kind: str) -> bool:
    """Whether the kernels for one device type are loaded; the first call tries to.

    Args:
        kind: a device type, of which "cpu" and "cuda" have kernels, or "memory".

    Raises:
        RuntimeError: if HISTOXPLAIN_NATIVE is `require` and they cannot be had, with what the compiler said.
        InputError: if HISTOXPLAIN_NATIVE is none of `0`, `1` and `require`.
    """
    with _lock:
        if kind not in _outcomes:
            wanted = os.environ.get("HISTOXPLAIN_NATIVE", "1")
            check_one_of("HISTOXPLAIN_NATIVE", wanted, ("0", "1", "require"))
            _outcomes[kind] = False if wanted == "0" else _attempt(kind)
            if isinstance(_outcomes[kind], BuildError) and wanted == "1":
                reason, _outcomes[kind] = _outcomes[kind], False
                if kind != "memory":  # without which only speed differs, and the first op warns of that
                    _warn(kind, reason)
    if isinstance(outcome := _outcomes[kind], BuildError):
        message = f"native kernels are required (HISTOXPLAIN_NATIVE=require), but {outcome}"
        raise RuntimeError(f"{message}\n{outcome.output}".rstrip()) from outcome
    return outcome


def settled(kind: str) -> bool:
    """Whether `load` has tried this device type, and did not fail where it must not."""
    return isinstance(_outcomes.get(kind), bool)


def _attempt(kind: str) -> bool | BuildError:
    from histoxplain.ops import _build  # here, so that a process without native kernels never reads it

    try:
        if not _build.sources(kind):
            return False
        torch.ops.load_library(_build.library(kind))
    except BuildError as error:
        return error
    except OSError as error:
        return BuildError(f"the library does not load: {error}")
    return True


def _warn(kind: str, reason: BuildError) -> None:
    way_out = "set HISTOXPLAIN_NATIVE=0 to silence this, =require to see all of it"
    warnings.warn(f"Native {kind} kernels are off, ops run slower: {reason} ({way_out}).", RuntimeWarning, stacklevel=4)
