import pytest
import torch
from torch import nn

from histoxplain.cli import main
from histoxplain.models import Generator, GeneratorConfig, load_bundle, load_classifier, save_generator


@pytest.fixture
def network(tmp_path):
    """An exported network and its file: how red images are."""
    red = nn.Conv2d(3, 2, 1, bias=False)
    with torch.no_grad():
        red.weight.copy_(torch.tensor([[0.0, 0, 0], [4, -2, -2]]).view(2, 3, 1, 1))
    module = nn.Sequential(red, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    shapes = ({0: torch.export.Dim("images", min=1, max=64), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    program = torch.export.export(module, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "red.pt2")
    return module, tmp_path / "red.pt2"


def test_an_adopted_classifier_lives_in_a_bundle(network, tmp_path, capsys):
    module, file = network
    command = ["adopt", file, "--class-names", "pale", "red", "--resolution", "16", "--out", tmp_path / "own/red.json"]
    assert main([str(word) for word in command]) == 0
    assert "gives logits" in capsys.readouterr().out
    config = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, c_dim=2, channel_base=128, channel_max=8)
    save_generator(tmp_path / "generator.safetensors", Generator(config, ("pale", "red")))
    command = ["bundle", tmp_path / "mine", "--generator", tmp_path / "generator.safetensors"]
    command += ["--classifier", tmp_path / "own/red.json"]
    assert main([str(word) for word in command]) == 0
    file.unlink()
    (tmp_path / "own/red.pt2").unlink()
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.class_names == ("pale", "red")
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(bundle.classifier(x), module((x + 1) / 2))
    card = (tmp_path / "mine/README.md").read_text()
    assert "class_names ['pale', 'red']" in card
    assert str(tmp_path) not in card


def test_a_wrong_order_or_ending_is_refused_and_nothing_written(network, tmp_path, refused):
    line = refused("adopt", network[1], "--class-names", "a", "b", "c", "--out", tmp_path / "own.json")
    assert "`network` must give 3 numbers an image" in line
    assert "`out` must end in .json" in refused(
        "adopt", network[1], "--class-names", "a", "b", "--out", tmp_path / "own"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["red.pt2"]
    with pytest.raises(ValueError, match="must be an existing file"):
        load_classifier(tmp_path / "own.json")
