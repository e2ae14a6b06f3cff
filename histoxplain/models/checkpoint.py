"""Checkpoints: safetensors with JSON metadata. Nothing is ever unpickled, and a file appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from histoxplain import __version__
from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check_exists

FORMAT = "histoxplain.checkpoint/1"
_WAY_OUT = "download or train it again"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds: `state` (name -> tensor), what it is a `kind` of, its `config` and free `meta`."""

    state: dict[str, Tensor]
    kind: str
    config: dict[str, Any]
    meta: dict[str, Any] = field(default_factory=dict)
    version: str = field(default="", repr=False)
    """The version of histoxplain that wrote it; empty where none was noted."""


def save_checkpoint(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    *,
    kind: str,
    config: Mapping[str, Any],
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Write tensors, their description and this package's version to one safetensors file, atomically.

    Args:
        path: the file, usually `*.safetensors`; its folder is made when missing.
        state_dict: name -> tensor; stored contiguous and on the CPU.
        kind: "stylegan2.generator", "stylegan2.discriminator", "classifier", ...
        config: whatever rebuilds the network; must survive JSON.
        meta: whatever else is worth knowing: class names, images seen, data licence.

    Returns:
        The path written.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state_dict.items()}
    metadata = {
        "format": FORMAT,
        "version": __version__,
        "kind": kind,
        "config": json.dumps(dict(config), sort_keys=True),
        "meta": json.dumps(dict(meta or {}), sort_keys=True),
    }
    with replacing(path) as part:
        part.write_bytes(save(tensors, metadata=metadata))
    return path


def load_checkpoint(path: str | Path, kind: str | None = None) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Args:
        path: a file written by `save_checkpoint`.
        kind: what it has to be; None takes any kind.

    Raises:
        InputError: if the file is missing, damaged, not a histoxplain checkpoint, or of another kind.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_checkpoint(f"{folder}/a.safetensors", {"w": torch.ones(2)}, kind="toy", config={"size": 2})
        ...     load_checkpoint(path, kind="toy")
        Checkpoint(state={'w': tensor([1., 1.])}, kind='toy', config={'size': 2}, meta={})
    """
    path = check_exists("path", path)
    if path.is_dir():
        raise InputError(f"`path` must be a checkpoint file, got the folder {path}; name the .safetensors file in it.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _describe(file.metadata() or {}, path, kind)
            state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no view of the file)
    except SafetensorError as error:
        reason = f"which is damaged or something else ({error})"
        raise InputError(f"`path` must be a whole safetensors file, got {path}, {reason}; {_WAY_OUT}.") from error
    return Checkpoint(state, *metadata)


def _describe(
    metadata: dict[str, str], path: Path, kind: str | None
) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "no histoxplain description")
        raise InputError(f"`path` must be a histoxplain checkpoint ({FORMAT}), got {path} with {found}; {_WAY_OUT}.")
    try:
        found, config, meta = metadata["kind"], json.loads(metadata["config"]), json.loads(metadata["meta"])
    except (KeyError, json.JSONDecodeError) as error:
        raise InputError(f"`path` must be a whole checkpoint, got {path} with damaged metadata; {_WAY_OUT}.") from error
    if kind not in (None, found):
        raise InputError(f"`path` must be a checkpoint of kind {kind}, got {path} of kind {found}.")
    return found, config, meta, metadata.get("version", "")
