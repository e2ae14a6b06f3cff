"""Networks that other programs exported: TorchScript, `torch.export` and ONNX files, opened without running pickles."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import InputError, check, check_exists
from histoxplain._optional import require

SUFFIXES = {".pt": "torchscript", ".pts": "torchscript", ".pth": "torchscript", ".pt2": "export", ".onnx": "onnx"}


def open_exported(path: str | Path) -> nn.Module:
    """Open an exported network.

    Args:
        path: a file of TorchScript (.pt, .pts, .pth), `torch.export` (.pt2) or ONNX (.onnx).

    Returns:
        A module that takes a batch of any size, in evaluation mode as it was exported, on the CPU. Gradients pass
        through the first two kinds.

    Raises:
        InputError: if the file is missing, damaged, of another kind, or would run code while it is read.
        ImportError: if it is an ONNX file and onnxruntime is not installed.
    """
    path = check_exists("network", path)
    kind = SUFFIXES.get(path.suffix.lower())
    listed = "a TorchScript (.pt), torch.export (.pt2) or ONNX (.onnx) file"
    check(kind is not None, "network", f"be {listed}", path, "export it, or give the module itself in Python")
    opener = {"torchscript": _open_torchscript, "export": _open_export, "onnx": _open_onnx}[kind]
    try:
        return opener(path)
    except (InputError, ImportError):
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        way_out = "; a file of weights alone does not say what to compute" if kind == "torchscript" else ""
        raise InputError(f"`network` must be {listed}, got {path} ({reason}){way_out}.") from error


def check_not_exported(path: str | Path) -> None:
    """A checkpoint of ours is asked for: say what to do with somebody's own network.

    Raises:
        InputError: if the file's ending is that of an exported network.
    """
    ours, way_out = Path(path).suffix.lower() not in SUFFIXES, "describe your own network by `histoxplain adopt`"
    check(ours, "path", "be a checkpoint of ours (.safetensors)", path, way_out)


class FixedBatch(nn.Module):
    """A network that was exported for one number of images: takes any, a few at a time, the last ones filled up.

    Args:
        network: takes `(size, ...)` and gives one tensor `(size, ...)`.
        size: its number of images.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, x: Tensor) -> Any:
        """The network's answers, one after the other."""
        missing = -len(x) % self.size
        whole = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        found = [self.network(some) for some in whole.split(self.size)]
        found = [f[0] if isinstance(f, tuple | list) else f for f in found]
        return torch.cat(found)[: len(x)]


class OnnxNetwork(nn.Module):
    """An ONNX file, computed by onnxruntime on the CPU; no gradient passes through.

    Args:
        path: the file; it must take one tensor.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        runtime = require("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = self.session.get_inputs()
        check(len(inputs) == 1, "network", "take one tensor", [entry.name for entry in inputs])
        self.name, self.batch = inputs[0].name, inputs[0].shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """The first output for float32 images."""
        found = self.session.run(None, {self.name: x.detach().float().cpu().contiguous().numpy()})[0]
        return torch.from_numpy(found).to(x.device)


def _open_torchscript(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch speaks to whoever exports
        return torch.jit.load(path, map_location="cpu")


def _open_export(path: Path) -> nn.Module:
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()]
    hidden = [name for name in names if name.startswith(("custom_obj", "opaque_obj"))]
    check(not hidden, "network", "hold tensors only", f"{path} with {hidden[:1]}", "export it without custom objects")
    with _weights_only():
        program = torch.export.load(path)
    takes = program.graph_signature.user_inputs
    check(len(takes) == 1, "network", "take one tensor", f"{len(takes)} of them")
    node = next(node for node in program.graph.nodes if node.name == takes[0])
    size = node.meta["val"].shape[0]
    module = _Program(program.module())
    return FixedBatch(module, size) if isinstance(size, int) else module


def _open_onnx(path: Path) -> nn.Module:
    network = OnnxNetwork(path)
    return FixedBatch(network, network.batch) if isinstance(network.batch, int) else network


class _Program(nn.Module):
    """What `torch.export` wrote: it computes as it was exported, and cannot be told to train."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> _Program:
        self.training = mode
        return self

    def forward(self, x: Tensor) -> Any:
        return self.network(x)


@contextmanager
def _weights_only() -> Iterator[None]:
    """No pickle that `torch.load` meets runs code."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
