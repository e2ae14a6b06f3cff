"""Reading and writing concept models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from histoxplain.models.checkpoint import Checkpoint, save_checkpoint
from histoxplain.models.loading import build_network, read_network
from histoxplain.models.viscoin.config import ConceptConfig
from histoxplain.models.viscoin.model import ConceptModel

if TYPE_CHECKING:
    from histoxplain.models.classifier import Classifier
    from histoxplain.models.detail_encoder import DetailEncoder
    from histoxplain.models.encoder import Encoder
    from histoxplain.models.stylegan2 import Generator
    from histoxplain.models.vote import Vote

KIND = "concepts"


def save_concepts(path: str | Path, model: ConceptModel, meta: dict[str, Any] | None = None) -> Path:
    """Write Psi, Theta and Omega, the concepts' names and `model.meta` with `meta` added, as safetensors.

    Written in half precision: a model that was read and is written again is the same to the last bit.
    """
    state = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    return save_checkpoint(path, state, kind=KIND, config=asdict(model.config), meta={**model.meta, **(meta or {})})


def load_concepts(
    path: str | Path,
    classifier: Classifier | Vote,
    generator: Generator,
    encoder: Encoder | DetailEncoder | None = None,
) -> ConceptModel:
    """Read a concept model, in evaluation mode and on the generator's device.

    Args:
        path: a file written by `save_concepts`.
        classifier, generator, encoder: those that it was trained for.

    Raises:
        InputError: if the file is missing, damaged or holds something else, or is for other networks.
    """

    def make(found: Checkpoint) -> ConceptModel:
        with torch.random.fork_rng([]):  # loading draws no random numbers of the caller's
            return ConceptModel(classifier, generator, ConceptConfig(**found.config), encoder, found.meta)

    model = build_network(read_network(path, KIND), path, make)
    return model.to(next(generator.parameters()).device)
