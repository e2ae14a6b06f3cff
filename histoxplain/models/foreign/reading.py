"""Read a network from somebody else's file: find out what the file is, take what is wanted, run nothing."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from histoxplain._checks import InputError, check_exists
from histoxplain.models.checkpoint import Checkpoint
from histoxplain.models.foreign import nvidia, rosinality, shapes
from histoxplain.models.foreign.nvidia import Part
from histoxplain.models.foreign.pickles import RefusedError, Table
from histoxplain.models.foreign.stretch import Stretch
from histoxplain.models.foreign.tensors import read_archive, read_stream, total_bytes
from histoxplain.models.stylegan2.generator import MappingNetwork
from histoxplain.models.undrawn import Undrawn

KINDS = {
    "stylegan2.generator": (("G_ema", "G"), shapes.generator_config),
    "stylegan2.discriminator": (("D",), shapes.discriminator_config),
    "encoder": (("E",), shapes.encoder_config),
}
TABLE: Table = {**nvidia.TABLE, **rosinality.NAMESPACE}
SAMPLES = 4096  # latents whose mean stands for a missing w_avg, as in rosinality's own generate.py
DAMAGE = (
    *(ArithmeticError, AttributeError, BadZipFile, EOFError, LookupError),
    *(OSError, RuntimeError, TypeError, ValueError, struct.error),
)
READABLE = "StyleGAN2 networks of NVIDIA (.pkl), rosinality or HistoXplaining (.pt)"
_WAY_OUT = "download it again or name another file"
_KNOWN = {
    b"version https://git-lfs": "which is a Git-LFS pointer, not the file itself; run `git lfs pull` in its repository",
    b"\x1f\x8b": "which is compressed with gzip; unpack it first",
    b"BZh": "which is compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "which is compressed with xz; unpack it first",
    b"Rar!": "which is a RAR archive; unpack it first",
    b"\x89HDF": "which is an HDF5 file",
}


def is_foreign(path: str | Path) -> bool:
    """Whether a file has to be read as somebody else's: it is no safetensors file by name or by content.

    Example:
        >>> is_foreign("ffhq.pkl"), is_foreign("run/generator.safetensors")
        (True, False)
    """
    path = Path(path)
    if path.suffix == ".safetensors" or path.is_dir():
        return False
    return not (path.is_file() and _head(path)[8:9] == b"{")


def read_foreign(path: str | Path, kind: str, network: str | None = None) -> Checkpoint:
    """Read one network.

    Args:
        path: a network pickle of NVIDIA's, a `.pt` file of rosinality or HistoXplaining, or a `.pt` file with state
            dicts in NVIDIA's names.
        kind: "stylegan2.generator", "stylegan2.discriminator" or "encoder".
        network: "G" for the generator that was trained; by default its moving average "G_ema", where there is one.

    Returns:
        The network as a checkpoint of ours would hold it. `meta` says where it came from; a missing mean of w or
        missing noise is made with a fixed seed, and `meta` says so.

    Raises:
        InputError: if the file is missing, damaged, hostile or something else, with what it is.
    """
    path = check_exists("path", path)
    with _explaining(path), open_parts(path) as (layout, parts):
        wanted, configure = KINDS[kind]
        name = next((name for name in ([network] if network else wanted) if name in parts), None)
        if name is None:
            missing = network or kind.rpartition(".")[2]
            raise RefusedError(f"which holds no {missing}, only {', '.join(parts)}; name a file that has one")
        return _checkpoint(parts[name], configure, kind, path, {"from": layout, "network": name})


def foreign_kinds(path: str | Path) -> list[str]:
    """Which kinds of network a file holds, the generator first.

    Raises:
        InputError: as `read_foreign`.
    """
    path = check_exists("path", path)
    with _explaining(path), open_parts(path) as (_, parts):
        return [kind for kind, (names, _) in KINDS.items() if parts.keys() & set(names)]


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading into one clear line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # damaged text may hold strange escapes
            yield
    except RefusedError as error:
        way_out = "" if ";" in str(error) else f"; {_WAY_OUT}"
        raise InputError(f"`path` must hold {READABLE}, got {path}, {error}{way_out}.") from error
    except InputError:
        raise
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno != EINVAL:  # a damaged archive points before its start
            raise
        raise InputError(f"`path` must hold {READABLE}, got {path}, which is damaged; {_WAY_OUT}.") from error


@contextmanager
def open_parts(path: Path) -> Iterator[tuple[str, dict[str, Part]]]:
    """The layout of a file and its networks, whose tensors can be loaded while the context lasts."""
    with _open(path) as contents:
        for layout, find in (("nvidia", nvidia.parts), ("rosinality", rosinality.parts)):
            parts = find(contents)
            if parts:
                yield layout, parts
                return
        raise RefusedError(f"which holds {_describe(contents)}")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        with ZipFile(path) as archive:
            yield read_archive(archive, TABLE)
    elif head[:1] == b"\x80":
        with path.open("rb") as file:
            yield read_stream(Stretch(file, 0, path.stat().st_size), TABLE)
    else:
        raise RefusedError(_what(head))


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise RefusedError("which is a folder; name the file in it")
    with path.open("rb") as file:
        return file.read(64)


def _what(head: bytes) -> str:
    """What a file is that is neither a pickle nor an archive, by its first bytes."""
    if not head:
        return "which is empty"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "which is a web page, perhaps the message of a failed download; open it in a browser to see"
    known = (meaning for start, meaning in _KNOWN.items() if head.startswith(start))
    return next(known, "which is neither a pickle nor a file of torch.save")


def _describe(contents: Any) -> str:
    """What a file holds, for a message."""
    if isinstance(contents, dict):
        names = ", ".join(str(name)[:40] for name in list(contents)[:4])
        return f"something else: {names}{', ...' if len(contents) > 4 else ''}"
    return f"a {type(contents).__name__}, not networks"


def _checkpoint(part: Part, configure: Any, kind: str, path: Path, meta: dict[str, Any]) -> Checkpoint:
    if total_bytes(part.tensors) > path.stat().st_size:
        raise RefusedError("whose tensors claim more numbers than the file has")
    shapes.check_usual(part)
    config = configure(part)
    state = {name: tensor.load() for name, tensor in part.tensors.items()}
    if kind == "stylegan2.generator":
        meta |= _complete(state, config)
    return Checkpoint(state, kind, config, meta)


def _complete(state: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Any]:
    """Make what an older or trimmed file leaves out; returns a note for each."""
    rng, notes = torch.Generator().manual_seed(0), {}
    if "mapping.w_avg" not in state:
        state["mapping.w_avg"] = _mean_w(state, config, rng)
        notes["w_avg"] = f"mean of {SAMPLES} samples"
    for name in [name for name in state if name.endswith(".noise_strength")]:
        const = name.replace("noise_strength", "noise_const")
        if const not in state:
            side = int(name.split(".b")[1].split(".")[0])
            state[const] = torch.randn(side, side, generator=rng)
            notes["noise"] = "drawn when the file was read"
    return notes


def _mean_w(state: dict[str, Tensor], config: dict[str, Any], rng: torch.Generator) -> Tensor:
    sizes = [config[name] for name in ("z_dim", "c_dim", "w_dim", "mapping_layers")]
    with Undrawn():
        mapping = MappingNetwork(*sizes, num_ws=None, w_avg_beta=None)
    own = {name.removeprefix("mapping."): value for name, value in state.items() if name.startswith("mapping.")}
    mapping.load_state_dict(own, assign=True)
    labels = torch.eye(max(config["c_dim"], 1))[torch.arange(SAMPLES) % max(config["c_dim"], 1)]
    with torch.no_grad():
        return mapping(torch.randn(SAMPLES, config["z_dim"], generator=rng), labels).mean(0)
