"""Files in other people's formats, made without their code."""

from __future__ import annotations

import json
import pickle
import sys
import types
import zlib
from argparse import Namespace

import numpy as np
import pytest
import torch
from torch import nn

from histoxplain.models import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig

TRIPWIRE = "raise RuntimeError('the source in a network pickle must never be executed')"
TINY = {"resolution": 16, "channel_base": 128, "channel_max": 8}


def tiny_generator(**changes) -> Generator:
    """A generator whose noise, mean of w and biases are not zero."""
    G = Generator(GeneratorConfig(**{**TINY, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, **changes}))
    return shaken(G)


def tiny_discriminator(**changes) -> Discriminator:
    """A discriminator whose biases are not zero."""
    return shaken(Discriminator(DiscriminatorConfig(**{**TINY, **changes})))


def shaken(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith(("bias", "noise_strength", "w_avg")):
                tensor += 0.3 * torch.randn(tensor.shape)
    return network.eval().requires_grad_(False)


@pytest.fixture
def make_generator():
    return tiny_generator


@pytest.fixture
def make_discriminator():
    return tiny_discriminator


class Stored:
    """Pickles itself as NVIDIA's modules do."""

    def __init__(self, module: nn.Module, **attributes):
        modules = {name: Stored(child, **attributes) for name, child in module.named_children()}
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": TRIPWIRE,
            "class_name": type(module).__name__,
            "state": {
                "training": False,
                "_parameters": dict(module._parameters),
                "_buffers": dict(module._buffers),
                "_modules": modules,
                "_non_persistent_buffers_set": set(),
                "act_gain": np.sqrt(2),
                **attributes,
            },
        }

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@pytest.fixture
def nvidia_names(monkeypatch):
    """Importable stand-ins for the names in NVIDIA's pickles; any call of them fails."""

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("must never be called")

    class EasyDict(dict):
        pass

    for name, member in (("torch_utils.persistence", _reconstruct_persistent_obj), ("dnnlib.util", EasyDict)):
        member.__module__, member.__qualname__ = name, member.__name__
        package, module = types.ModuleType(name.partition(".")[0]), types.ModuleType(name)
        setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, name, module)
    return EasyDict


@pytest.fixture
def write_pickle(nvidia_names, tmp_path):
    """Write networks as a network pickle; keywords become attributes of each module."""

    def write(networks, name="network.pkl", protocol=4, **attributes):
        contents = {key: Stored(value, **attributes) for key, value in networks.items()}
        kwargs = nvidia_names(class_name="training.dataset.ImageFolderDataset", max_size=None)
        contents |= {"training_set_kwargs": kwargs} if len(networks) > 1 else {}
        path = tmp_path / name
        path.write_bytes(pickle.dumps(contents, protocol=protocol))
        return path

    return write


@pytest.fixture(scope="session")
def rosinality(shared, tmp_path_factory):
    """The fixture files "rosinality" and "histoxplaining" as `.pt`, with what their networks give."""
    made = {}

    def get(name, legacy=False):
        if (name, legacy) not in made:
            folder = shared / "fixtures/rosinality"
            path = tmp_path_factory.mktemp(name) / f"{name}.pt"
            shapes = json.loads((folder / f"{name}_shapes.json").read_text())
            contents = {
                part: {n: rosinality_weight(part, n, s) for n, s in group.items()} for part, group in shapes.items()
            }
            contents |= {"args": Namespace(size=16, latent=64, n_mlp=2), "ada_aug_p": torch.tensor(0.1)}
            contents["g_optim"] = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"betas": (0, 0.9)}]}
            torch.save(contents, path, _use_new_zipfile_serialization=not legacy)
            arrays = {key: torch.tensor(value) for key, value in np.load(folder / f"{name}.npz").items()}
            made[name, legacy] = path, arrays
        return made[name, legacy]

    return get


def rosinality_weight(part: str, name: str, shape: list[int]) -> torch.Tensor:
    """A weight of the fixture, which is made from its name."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("kernel"):
        f = torch.outer(*2 * [torch.tensor([1.0, 3.0, 3.0, 1.0])]) / 64
        return f * 4 if part == "g_ema" else f
    r = np.random.RandomState(zlib.crc32(f"0/{part}/{name}".encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        r = 1 + 0.1 * abs(r)
    elif name.endswith("modulation.bias"):
        r = 1 + 0.1 * r
    elif name.startswith("style.") and name.endswith("weight"):
        r = 100 * r
    elif name.endswith(("bias", "noise.weight")):
        r = 0.1 * r
    return torch.tensor(r)
