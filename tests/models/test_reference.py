import pytest
import torch

from histoxplain import InputError
from histoxplain.models import Reference, load_reference, save_checkpoint, save_reference


@pytest.fixture
def reference(rng):
    numbers = {name: torch.rand(shape, generator=rng) for name, shape in (("means", (3, 8)), ("axes", (2, 8)))}
    return Reference(
        **numbers,
        scale=torch.ones(8),
        variances=torch.tensor([2.0, 1.0]),
        rest=torch.tensor(0.5),
        distances=torch.arange(5.0),
        errors=torch.zeros(0),
        data="toy",
        images=7,
        features="eight",
        inversion="none",
    )


def test_comes_back_as_it_was_saved(reference, tmp_path):
    again = load_reference(save_reference(tmp_path / "r.safetensors", reference))
    for name, value in vars(reference).items():
        other = getattr(again, name)
        if name == "axes":
            assert torch.allclose(value, other, atol=1e-3)  # half precision
        else:
            assert value.equal(other) if isinstance(value, torch.Tensor) else value == other


def test_damaged_ones_are_refused(reference, tmp_path):
    path = save_reference(tmp_path / "r.safetensors", reference)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="whole safetensors file"):
        load_reference(path)
    save_checkpoint(path, {"means": torch.zeros(1, 2)}, kind="reference", config={}, meta={"data": "x"})
    with pytest.raises(InputError, match="measure it again"):
        load_reference(path)
    save_checkpoint(path, {}, kind="classifier", config={})
    with pytest.raises(InputError, match="of kind reference"):
        load_reference(path)


def test_numbers_must_be_finite(reference, tmp_path):
    broken = Reference(**{**vars(reference), "rest": torch.tensor(float("nan"))})
    with pytest.raises(InputError, match="finite numbers"):
        load_reference(save_reference(tmp_path / "r.safetensors", broken))
