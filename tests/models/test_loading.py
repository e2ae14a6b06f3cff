import subprocess
import sys

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.models import Generator, GeneratorConfig, load_generator, save_generator
from histoxplain.models.checkpoint import Checkpoint
from histoxplain.models.loading import build_network
from histoxplain.models.undrawn import Undrawn

SHAPE = {"resolution": 16, "channel_base": 128, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}


def make(found):
    return Generator(GeneratorConfig(**found.config))


def test_a_network_consists_of_the_tensors_read():
    G = Generator(GeneratorConfig(**SHAPE))
    built = build_network(Checkpoint(G.state_dict(), "stylegan2.generator", SHAPE), "x", make)
    assert {name: value.data_ptr() for name, value in built.state_dict().items()} == {
        name: value.data_ptr() for name, value in G.state_dict().items()
    }
    assert not built.training
    assert not any(weight.requires_grad or weight.is_meta for weight in built.parameters())
    assert all(torch.equal(mine, its) for mine, its in zip(built.buffers(), G.buffers()))  # filters too
    z = torch.randn(2, 8)
    assert torch.equal(built(z), G(z))


@pytest.mark.parametrize("change", [{"z_dim": 9}, {"resolution": 32}, {"channel_max": 2**20, "channel_base": 2**40}])
def test_another_shape_is_refused_before_memory_is_taken(change):
    state = Generator(GeneratorConfig(**SHAPE)).state_dict()
    with pytest.raises(InputError, match=r"of a known shape, got x\.pkl with"):
        build_network(Checkpoint(state, "stylegan2.generator", SHAPE | change), "x.pkl", make)


def test_a_file_may_go_once_it_is_read(tmp_path):
    """The weights are no view of the file, as what safetensors gives is."""
    path = tmp_path / "generator.safetensors"
    G = Generator(GeneratorConfig(**SHAPE)).eval()
    save_generator(path, G)
    found = load_generator(path, "cpu", "float32")
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(found.synthesis.b16.conv1.weight, G.synthesis.b16.conv1.weight)


def test_nothing_is_drawn():
    with Undrawn():
        G = Generator(GeneratorConfig(**SHAPE))
    drawn = {name for name, value in G.state_dict().items() if value.is_meta}
    assert drawn == {name for name in G.state_dict() if name.endswith(("weight", "const"))}
    assert torch.randn(2).isfinite().all()


def test_reading_does_not_import_the_compiler(tmp_path):
    save_generator(tmp_path / "g.safetensors", Generator(GeneratorConfig(**SHAPE)))
    code = "import sys, histoxplain as hx; hx.models.load_generator(sys.argv[1], 'cpu'); print('sympy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "g.safetensors"], capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr
