"""Latents in files: safetensors, or the npz that the StyleGAN2 world exchanges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check, check_exists
from histoxplain.explain.latent_space import device_of

if TYPE_CHECKING:
    from histoxplain.models import Generator


def save_latents(path: str | Path, ws: Tensor) -> Path:
    """Write latents under the name "w", atomically.

    Args:
        path: a file; `.npz` (which `generate.py --projected-w` of StyleGAN2-ADA takes) or safetensors otherwise.
        ws: `(N, num_ws, w_dim)`.

    Returns:
        The path written.
    """
    path, ws = Path(path), ws.detach().float().cpu().contiguous()
    with replacing(path) as part, part.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(file, w=ws.numpy())
        else:
            file.write(save({"w": ws}))
    return path


def load_latents(path: str | Path, generator: Generator) -> Tensor:
    """Read latents that `save_latents` or StyleGAN2-ADA's projector wrote, `(N, num_ws, w_dim)`.

    Args:
        path: the file.
        generator: whose they are; the latents come to its device.

    Raises:
        InputError: if the file is missing or damaged, or its latents are another generator's.

    Example:
        >>> import tempfile
        >>> from types import SimpleNamespace
        >>> G = SimpleNamespace(num_ws=4, w_dim=2, parameters=lambda: iter([torch.zeros(1)]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_latents(save_latents(f"{folder}/w.npz", torch.ones(1, 4, 2)), G).sum().item()
        8.0
    """
    path = check_exists("latents", path)
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                ws = torch.from_numpy(arrays["w"])
        else:
            ws = load(path.read_bytes())["w"]
    except (SafetensorError, BadZipFile, ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise InputError(f"`latents` must be a file of `histoxplain project`, got {path}.") from error
    shape = generator.num_ws, generator.w_dim
    check(ws.ndim == 3 and ws.shape[1:] == shape, "latents", f"have shape (N, {shape[0]}, {shape[1]})", tuple(ws.shape))
    return ws.float().to(device_of(generator))
