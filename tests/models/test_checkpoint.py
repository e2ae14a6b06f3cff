import pytest
import torch
from safetensors.torch import save_file

from histoxplain import InputError
from histoxplain.models.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def path(tmp_path):
    state = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(7)}
    return save_checkpoint(tmp_path / "a.safetensors", state, kind="toy", config={"size": 3}, meta={"images": 10})


def test_round_trip(path):
    found = load_checkpoint(path, kind="toy")
    assert found.kind == "toy"
    assert found.config == {"size": 3}
    assert found.meta == {"images": 10}
    assert torch.equal(found.state["w"], torch.arange(6.0).reshape(2, 3))
    assert found.state["n"].item() == 7


def test_channels_last_and_shared_tensors_are_stored(tmp_path):
    w = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    path = save_checkpoint(tmp_path / "b.safetensors", {"a": w, "b": w}, kind="toy", config={})
    assert torch.equal(load_checkpoint(path).state["b"], w)


def test_nothing_is_left_beside(path):
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


def test_a_failed_write_keeps_the_old_file(path):
    with pytest.raises(TypeError):
        save_checkpoint(path, {"w": torch.ones(1)}, kind="toy", config={"bad": object()})
    assert load_checkpoint(path).config == {"size": 3}
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_truncated_file_is_one_clear_line(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="safetensors file") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_other_files_are_one_clear_line(path, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello " * 100)
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(tmp_path / "text.safetensors")
    save_file({"w": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(InputError, match="no histoxplain description"):
        load_checkpoint(tmp_path / "plain.safetensors")
    with pytest.raises(InputError, match="did you mean"):
        load_checkpoint(tmp_path / "aa.safetensors")
    with pytest.raises(InputError, match="folder"):
        load_checkpoint(tmp_path)


def test_wrong_kind(path):
    with pytest.raises(InputError, match=r"must be a checkpoint of kind classifier, got .* of kind toy"):
        load_checkpoint(path, kind="classifier")
