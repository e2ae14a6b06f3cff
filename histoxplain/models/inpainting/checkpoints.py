"""Inpainters as files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from histoxplain.models.checkpoint import Checkpoint, save_checkpoint
from histoxplain.models.inpainting.config import InpainterConfig
from histoxplain.models.inpainting.inpainter import Inpainter
from histoxplain.models.loading import load_network

KIND = "inpainter"


def save_inpainter(path: str | Path, inpainter: Inpainter, meta: dict[str, Any] | None = None) -> Path:
    """Write an inpainter as safetensors; `meta` may hold figures, images seen, the data's licence."""
    return save_checkpoint(path, inpainter.state_dict(), kind=KIND, config=asdict(inpainter.config), meta=meta)


def load_inpainter(path: str | Path, device: str = "auto", precision: str = "auto") -> Inpainter:
    """Read an inpainter, ready to use: in evaluation mode, its weights not asking for gradients.

    Raises:
        InputError: if the file is missing, damaged or holds something else.
    """
    inpainter = load_network(path, KIND, make_inpainter, device, precision)
    return inpainter.to(memory_format=torch.channels_last)


def make_inpainter(found: Checkpoint) -> Inpainter:
    """An inpainter of the shape that a checkpoint describes, not yet with its weights."""
    return Inpainter(InpainterConfig(**found.config))
