"""Where to compute and how precisely: the meaning of `device="auto"` and `precision="auto"`."""

from __future__ import annotations

from functools import cache

import torch

from histoxplain._checks import check_one_of

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """CUDA when there, else the CPU; anything but "auto" is taken as it is."""
    if str(device) != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: str = "auto", device: str | torch.device = "cpu") -> torch.dtype:
    """The data type of generator convolutions.

    Args:
        precision: "auto", "float32", "bfloat16" or "float16". "auto" is bfloat16 on CUDA and on CPUs with native
            bfloat16 arithmetic, else float32.
        device: where the network runs.

    Example:
        >>> resolve_precision("float32")
        torch.float32
    """
    check_one_of("precision", precision, ["auto", *DTYPES])
    if precision != "auto":
        return DTYPES[precision]
    return torch.bfloat16 if torch.device(device).type == "cuda" or cpu_has_fast_bfloat16() else torch.float32
