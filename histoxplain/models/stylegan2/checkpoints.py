"""Reading and writing generators and discriminators."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from histoxplain.models.checkpoint import Checkpoint, save_checkpoint
from histoxplain.models.loading import load_network
from histoxplain.models.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from histoxplain.models.stylegan2.discriminator import Discriminator
from histoxplain.models.stylegan2.generator import Generator

GENERATOR, DISCRIMINATOR = "stylegan2.generator", "stylegan2.discriminator"


def save_generator(path: str | Path, generator: Generator, meta: dict[str, Any] | None = None) -> None:
    """Write a generator as safetensors with its configuration, class names and `meta` (images seen, data, licence)."""
    meta = {"class_names": list(generator.class_names), **(meta or {})}
    save_checkpoint(path, generator.state_dict(), kind=GENERATOR, config=asdict(generator.config), meta=meta)


def load_generator(path: str | Path, device: str = "auto", precision: str = "auto") -> Generator:
    """Read a generator, ready to use (evaluation mode, no gradients).

    Args:
        path: a `.safetensors` file that `train gan` or `save_generator` wrote; a network pickle of StyleGAN2-ADA or of
            the StyleGAN3 repository's `stylegan2` configuration; a `.pt` file of rosinality's StyleGAN2 or of
            HistoXplaining. Where a file holds a moving average of the generator, that is read. Nothing in a file runs.
        device: "auto", "cpu", "cuda", ...
        precision: of the convolutions; see `Generator.set_precision`.

    Raises:
        InputError: if the file is missing, damaged, hostile or holds something else.
    """
    return load_network(path, GENERATOR, make_generator, device, precision)


def save_discriminator(path: str | Path, discriminator: Discriminator, meta: dict[str, Any] | None = None) -> None:
    """Write a discriminator as safetensors; see `save_generator`."""
    meta = {"class_names": list(discriminator.class_names), **(meta or {})}
    config = asdict(discriminator.config)
    save_checkpoint(path, discriminator.state_dict(), kind=DISCRIMINATOR, config=config, meta=meta)


def load_discriminator(path: str | Path, device: str = "auto", precision: str = "auto") -> Discriminator:
    """Read a discriminator from any file that `load_generator` reads, if it holds one."""
    return load_network(path, DISCRIMINATOR, make_discriminator, device, precision)


def make_generator(found: Checkpoint) -> Generator:
    """A generator of the shape that a checkpoint describes, not yet with its weights."""
    return Generator(GeneratorConfig(**found.config), tuple(found.meta.get("class_names", ())))


def make_discriminator(found: Checkpoint) -> Discriminator:
    """A discriminator of the shape that a checkpoint describes, not yet with its weights."""
    return Discriminator(DiscriminatorConfig(**found.config), tuple(found.meta.get("class_names", ())))
