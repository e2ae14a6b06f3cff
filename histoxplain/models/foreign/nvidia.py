"""Network pickles of StyleGAN2-ADA, and of the StyleGAN3 repository's `stylegan2` configuration (Karras et al., 2020).

Such a pickle stores each module as its class's name, its source code and its `__dict__`. The source is left aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histoxplain.models.foreign.pickles import RefusedError, Table
from histoxplain.models.foreign.tensors import TENSORS, StoredTensor, load_from_bytes

NETWORKS = ("G_ema", "G", "D")
DEEPEST = 8  # a network's modules nest four deep
MOST_TENSORS = 5000  # and have some three hundred tensors


@dataclass(frozen=True)
class Module:
    """What a pickle says about one module; `state` is its `__dict__`."""

    class_name: str
    state: dict[str, Any]


@dataclass
class Part:
    """One network: its tensors by name, and the plain attributes of its modules, "synthesis.b4.conv1.conv_clamp"."""

    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def reconstruct(meta: dict[str, Any]) -> Module:
    """What stands for `torch_utils.persistence._reconstruct_persistent_obj`, which would run `meta["module_src"]`."""
    if not isinstance(meta.get("class_name"), str) or not isinstance(meta.get("state"), dict):
        raise RefusedError("with a module that is not described as NVIDIA's are")
    return Module(meta["class_name"], meta["state"])


def legacy(*_: Any) -> None:
    """What stands for the class in pickles of the TensorFlow version, whose weights have another layout."""
    raise RefusedError("which is a TensorFlow pickle; convert it first with legacy.py of stylegan2-ada-pytorch")


TABLE: Table = {
    **TENSORS,
    "torch_utils.persistence._reconstruct_persistent_obj": reconstruct,
    "dnnlib.tflib.network.Network": legacy,
    "dnnlib.util.EasyDict": lambda: {},
    "torch.storage._load_from_bytes": load_from_bytes,
}


def parts(contents: Any) -> dict[str, Part]:
    """The networks among the contents of a file, by name: "G_ema", "G", "D"; empty if there are none.

    Args:
        contents: a network, a dictionary of networks, or a dictionary of state dicts in the same names.

    Raises:
        RefusedError: on a network of StyleGAN3.
    """
    if isinstance(contents, Module):
        contents = {"D" if "b4" in contents.state.get("_modules", {}) else "G_ema": contents}
    if not isinstance(contents, dict):
        return {}
    if "synthesis.b4.const" in contents or "b4.out.weight" in contents:
        contents = {"G_ema" if "synthesis.b4.const" in contents else "D": contents}
    found = {name: contents[name] for name in NETWORKS if contents.get(name)}
    return {name: part for name, value in found.items() if (part := _part(value)).tensors}


def _part(value: Any) -> Part:
    if isinstance(value, Module):
        part = Part()
        _flatten(value, "", part, set())
        return part
    if not isinstance(value, dict):
        return Part()
    return Part({name: tensor for name, tensor in value.items() if isinstance(tensor, StoredTensor)})


def _flatten(module: Module, prefix: str, part: Part, seen: set[int]) -> None:
    """Gather tensors and attributes of a module and those in it, each module once."""
    state = module.state
    if id(state) in seen or prefix.count(".") > DEEPEST or len(part.tensors) > MOST_TENSORS:
        raise RefusedError("whose modules contain themselves or each other")
    seen.add(id(state))
    if "layer_names" in state or state.get("_modules", {}).keys() & {"input", "L0"}:
        raise RefusedError("which is a network of StyleGAN3 (alias-free); only its stylegan2 configuration can be read")
    for kind in ("_parameters", "_buffers"):
        tensors: Mapping[str, Any] = state.get(kind, {})
        part.tensors |= {prefix + name: tensor for name, tensor in tensors.items() if isinstance(tensor, StoredTensor)}
    plain = (str, int, float, type(None))
    part.attributes |= {prefix + name: value for name, value in state.items() if isinstance(value, plain)}
    for name, child in state.get("_modules", {}).items():
        if isinstance(child, Module):
            _flatten(child, f"{prefix}{name}.", part, seen)
