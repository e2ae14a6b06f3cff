"""Fixtures of the reference implementation: inputs, outputs, first and second gradients."""

import json

import numpy as np
import pytest
import torch

from histoxplain.ops import reference_only
from histoxplain.ops._library import is_native


@pytest.fixture(autouse=True)
def _several_threads():
    """Kernels share work; a test may set another number."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, 2))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def op_fixtures(shared):
    folder = shared / "fixtures" / "stylegan2"
    index = json.loads((folder / "index.json").read_text())

    def load(name):
        arrays = {key: torch.tensor(value) for key, value in np.load(folder / f"ops/{name}.npz").items()}
        return index[f"ops/{name}.npz"]["meta"], arrays

    return load


@pytest.fixture(scope="session")
def check_gradients():
    """Compare `f(*inputs)` with a fixture: value, gradients, and the gradients of the gradients."""

    def check(f, inputs, arrays, atol=1e-5):
        inputs = [x.clone().requires_grad_() for x in inputs]
        dy = arrays["dy"].clone().requires_grad_()
        y = f(*inputs)
        torch.testing.assert_close(y, arrays["y"], atol=atol, rtol=1e-5)
        first = torch.autograd.grad(y, inputs, dy, create_graph=True)
        for i, gradient in enumerate(first):
            torch.testing.assert_close(gradient, arrays[f"g{i}"], atol=atol, rtol=1e-5)
        weighted = sum((gradient * arrays[f"v{i}"]).sum() for i, gradient in enumerate(first))
        second = torch.autograd.grad(weighted, [*inputs, dy], allow_unused=True)
        for i, gradient in enumerate(second):
            expected = arrays[f"gg{i}"] if i < len(inputs) else arrays["ggy"]
            got = torch.zeros_like(expected) if gradient is None else gradient
            torch.testing.assert_close(got, expected, atol=2 * atol, rtol=1e-5)

    return check


@pytest.fixture(params=["native", "reference"])
def kernels(request):
    """Run a test with native kernels where they can be had, and again without any."""
    if request.param == "reference":
        with reference_only():
            yield request.param
    elif is_native("bias_act"):
        yield request.param
    else:
        pytest.skip("there are no native kernels here")


@pytest.fixture(params=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def device(request):
    """Every device that can be had."""
    return request.param
