"""From a file to a network that is ready to use, whoever wrote the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from histoxplain._checks import InputError
from histoxplain._device import resolve_device
from histoxplain.models.checkpoint import Checkpoint, load_checkpoint
from histoxplain.models.foreign import is_foreign, read_foreign
from histoxplain.models.undrawn import Undrawn


def load_network(
    path: str | Path, kind: str, make: Callable[[Checkpoint], nn.Module], device: str = "auto", precision: str = "auto"
) -> Any:
    """Read a network, ours or somebody else's, in evaluation mode and without gradients.

    Args:
        path: the file.
        kind: "stylegan2.generator", "stylegan2.discriminator" or "encoder".
        make: builds the network that a checkpoint describes.
        device: "auto", "cpu", "cuda", ...
        precision: see `Generator.set_precision`; somebody else's networks compute in float32 on a CPU unless another
            precision is named, as they do in the code they come from.

    Raises:
        InputError: if the file is missing, damaged, hostile or holds something else.
    """
    network = build_network(read_network(path, kind), path, make).to(resolve_device(device))
    exact = precision == "auto" and is_foreign(path) and resolve_device(device).type == "cpu"
    return network.set_precision("float32" if exact else precision)


def read_network(path: str | Path, kind: str) -> Checkpoint:
    """Read what a file says about a network, whoever wrote it."""
    return read_foreign(path, kind) if is_foreign(path) else load_checkpoint(path, kind)


def build_network(found: Checkpoint, path: str | Path, make: Callable[[Checkpoint], nn.Module]) -> Any:
    """Make the network that a checkpoint describes, of its very tensors, once they are known to fit.

    Args:
        found: what was read; its tensors of type float32 become the network's own.
        path: for messages.
        make: builds the network.

    Raises:
        InputError: if tensors are too many, missing or of another shape.
    """
    with Undrawn():
        network = make(found)
    check_fits(network, found, path)
    state = {n: t.float() if t.is_floating_point() else t for n, t in found.state.items()}
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def check_fits(network: nn.Module, found: Checkpoint, path: str | Path) -> None:
    """The tensors of a checkpoint must be those of a network, which may be `Undrawn` and take no memory.

    Raises:
        InputError: naming the first that is too many, missing or of another shape.
    """
    expected, got = ({name: tuple(t.shape) for name, t in s.items()} for s in (network.state_dict(), found.state))
    wrong = [name for name in sorted(expected | got) if expected.get(name) != got.get(name)]
    if wrong:
        rule = f"hold a {found.kind.rpartition('.')[2]} of a known shape"
        shape = f"{wrong[0]} of shape {got.get(wrong[0])} where {expected.get(wrong[0])} belongs"
        raise InputError(f"`path` must {rule}, got {path} with {shape}.")
