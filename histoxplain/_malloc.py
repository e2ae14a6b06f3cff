"""Let a process keep the memory that tensors free: getting it anew from the system costs more than the arithmetic.

glibc returns every block above 32 MiB to the system when it is freed and asks for zeroed pages at the next use. A
network that fills such blocks layer after layer then spends most of its time in page faults. Told to keep them, it
still serves few of them again. Where kernels can be compiled, tensors have a heap of their own: `csrc/memory`.
"""

from __future__ import annotations

import ctypes
from functools import cache

from histoxplain.ops import _native

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt`."""
MOST = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Serve large blocks from memory that the process holds, which stays at its peak.

    Returns:
        Whether the C library took the settings; those without `mallopt` (macOS, Windows, musl) are left alone.

    Raises:
        RuntimeError: if HISTOXPLAIN_NATIVE is `require` and the heap of tensors cannot be compiled.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = {MMAP_THRESHOLD: MOST, TRIM_THRESHOLD: MOST, TOP_PAD: 2**26}
    kept = all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
    if kept:
        _native.load("memory")  # begins to serve as it is loaded
    return kept
