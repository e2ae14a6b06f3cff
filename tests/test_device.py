from __future__ import annotations

import pytest
import torch

from histoxplain import InputError, _device
from histoxplain._device import cpu_has_fast_bfloat16, resolve_device, resolve_precision


@pytest.mark.parametrize(("cuda", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_cuda_when_there(monkeypatch, cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert resolve_device() == torch.device(expected)


def test_a_named_device_is_taken_as_it_is():
    assert resolve_device("meta") == torch.device("meta")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("fast", "device", "expected"),
    [(True, "cpu", torch.bfloat16), (False, "cpu", torch.float32), (False, "cuda", torch.bfloat16)],
)
def test_auto_precision(monkeypatch, fast, device, expected):
    monkeypatch.setattr(_device, "cpu_has_fast_bfloat16", lambda: fast)
    assert resolve_precision("auto", device) is expected


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_named_precision_is_taken_as_it_is(name):
    assert resolve_precision(name, "cpu") is getattr(torch, name)


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="`precision` must be one of auto, float32"):
        resolve_precision("float8")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_fast_bfloat16_needs_the_instructions(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert cpu_has_fast_bfloat16.__wrapped__() is expected
