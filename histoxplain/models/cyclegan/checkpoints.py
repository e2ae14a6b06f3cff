"""Translators as files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from histoxplain.models.checkpoint import Checkpoint, save_checkpoint
from histoxplain.models.cyclegan.config import TranslatorConfig
from histoxplain.models.cyclegan.translator import Translator
from histoxplain.models.loading import load_network

KIND = "translator"


def save_translator(path: str | Path, translator: Translator, meta: dict[str, Any] | None = None) -> Path:
    """Write a translator as safetensors; `meta` may hold figures, images seen, the data's licence."""
    return save_checkpoint(path, translator.state_dict(), kind=KIND, config=asdict(translator.config), meta=meta)


def load_translator(path: str | Path, device: str = "auto", precision: str = "auto") -> Translator:
    """Read a translator, ready to use: in evaluation mode, its weights not asking for gradients.

    Raises:
        InputError: if the file is missing, damaged or holds something else.
    """
    translator = load_network(path, KIND, make_translator, device, precision)
    return translator.to(memory_format=torch.channels_last)


def make_translator(found: Checkpoint) -> Translator:
    """A translator of the shape that a checkpoint describes, not yet with its weights."""
    return Translator(TranslatorConfig(**found.config))
