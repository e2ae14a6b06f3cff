"""Checkpoints from other people's formats to ours, and back where their code can build the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from histoxplain._checks import InputError, check, check_exists, check_one_of
from histoxplain.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from histoxplain.models.encoder import KIND as ENCODER
from histoxplain.models.encoder import make_encoder
from histoxplain.models.foreign import foreign_kinds, is_foreign, write_state_dicts
from histoxplain.models.foreign.normalisation import IMAGE_RANGES, NORMALISED, is_normalised, to_unit_range
from histoxplain.models.loading import build_network, read_network
from histoxplain.models.stylegan2.checkpoints import DISCRIMINATOR, GENERATOR, make_discriminator, make_generator

ROLES = {GENERATOR: "generator", DISCRIMINATOR: "discriminator", ENCODER: "encoder"}
MAKERS = {GENERATOR: make_generator, DISCRIMINATOR: make_discriminator, ENCODER: make_encoder}
_NO_PICKLE = "a network pickle carries NVIDIA's source code, which is not ours to write; take a .pt and layout='nvidia'"


class Conversion(NamedTuple):
    """What `convert` wrote, and what to know about it."""

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    layout: str = "rosinality",
    image_range: str = "unit",
    class_names: Iterable[str] = (),
    overwrite: bool = False,
) -> Conversion:
    """Rewrite checkpoints in another format.

    Args:
        source: any file that `load_generator` reads, or a folder with generator.safetensors, discriminator.safetensors
            and encoder.safetensors, or some of them.
        destination: a folder (receives those three, or some), a `.safetensors` file (the generator, or the only
            network of the source), or a `.pt` file (see `layout`).
        layout: of a `.pt` file: "rosinality" or "nvidia", whose names its state dicts take.
        image_range: what the source's images are: "unit" ([-1, 1]) or "imagenet" (normalised, as HistoXplaining's);
            the networks written draw and take images in [-1, 1].
        class_names: names of the classes in the order of the label, which somebody else's files do not hold.
        overwrite: replace files that exist.

    Raises:
        InputError: if the source cannot be read, or the destination's format cannot hold it.
    """
    check_one_of("image_range", image_range, IMAGE_RANGES)
    source, destination = check_exists("source", source), Path(destination)
    rule = "be a folder, a .safetensors or a .pt file"
    check(destination.suffix not in (".pkl", ".pickle"), "destination", rule, destination, _NO_PICKLE)
    found = {}
    for kind, one in _read(source, tuple(class_names)).items():
        found[kind] = replace(one, state=to_unit_range(one.state, one.config, image_range))
    networks = {kind: build_network(one, source, MAKERS[kind]) for kind, one in found.items()}
    if destination.suffix in (".pt", ".pth"):
        _check_free([destination], overwrite)
        roles = {ROLES[kind]: network for kind, network in networks.items()}
        return Conversion((destination,), tuple(write_state_dicts(destination, roles, layout)))
    if destination.suffix == ".safetensors":
        files = {next(iter(found)): destination}
    else:
        files = {kind: destination / f"{ROLES[kind]}.safetensors" for kind in found}
    _check_free(list(files.values()), overwrite)
    written = [_save(path, found[kind], networks[kind]) for kind, path in files.items()]
    return Conversion(tuple(written), _notes(found, untouched=is_foreign(source) and image_range == "unit"))


def _read(source: Path, class_names: tuple[str, ...]) -> dict[str, Checkpoint]:
    """Every network of the source, by kind, the generator first."""
    if source.is_dir():
        paths = {kind: source / f"{role}.safetensors" for kind, role in ROLES.items()}
        paths = {kind: path for kind, path in paths.items() if path.is_file()}
        check(bool(paths), "source", "be a folder with generator.safetensors or its companions", source)
    elif is_foreign(source):
        paths = dict.fromkeys(foreign_kinds(source), source)
    else:
        kind = load_checkpoint(source).kind
        check_one_of("source", kind, ROLES)
        paths = {kind: source}
    return {kind: _named(read_network(path, kind), class_names, path) for kind, path in paths.items()}


def _named(found: Checkpoint, class_names: tuple[str, ...], path: Path) -> Checkpoint:
    c_dim = found.config.get("c_dim", 0)
    meta = found.meta | ({"converted_from": path.name} if is_foreign(path) else {})
    if class_names and c_dim:
        check(len(class_names) == c_dim, "class_names", f"be {c_dim} names", ", ".join(class_names))
        meta |= {"class_names": list(class_names)}
    return replace(found, meta=meta)


def _save(path: Path, found: Checkpoint, network: nn.Module) -> Path:
    config: dict[str, Any] = vars(network.config)
    return save_checkpoint(path, network.state_dict(), kind=found.kind, config=config, meta=found.meta)


def _check_free(paths: list[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(f"`destination` must not exist yet, got {path}; choose another or allow to overwrite it.")


def _notes(found: dict[str, Checkpoint], untouched: bool) -> tuple[str, ...]:
    """What to know about a generator; `untouched` if somebody else's images are still in their range."""
    if GENERATOR not in found:
        return ()
    meta = found[GENERATOR].meta
    missing = {"w_avg": "the mean of w was missing", "noise": "the constant noise was missing"}
    notes = [f"{text}: {meta[name]}" for name, text in missing.items() if name in meta]
    if untouched and is_normalised(found[GENERATOR].config):
        notes.append(f"{NORMALISED}; convert with --image-range imagenet for images in [-1, 1]")
    return tuple(notes)
