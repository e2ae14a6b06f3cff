import pytest

from histoxplain.cli import main
from histoxplain.models import Generator, GeneratorConfig, load_generator, save_generator


@pytest.fixture
def generator(tmp_path):
    config = GeneratorConfig(resolution=8, channel_base=64, channel_max=8, z_dim=4, w_dim=4, mapping_layers=2)
    save_generator(tmp_path / "g.safetensors", Generator(config))
    return tmp_path / "g.safetensors"


def test_there_and_back(generator, tmp_path, capsys):
    assert main(["convert", str(generator), str(tmp_path / "g.pt"), "--layout", "nvidia"]) == 0
    assert main(["convert", str(tmp_path / "g.pt"), str(tmp_path / "back")]) == 0
    assert f"g.pt -> {tmp_path / 'back/generator.safetensors'}" in capsys.readouterr().out
    assert load_generator(tmp_path / "back/generator.safetensors").img_resolution == 8


def test_one_line_and_exit_code(generator, tmp_path, capsys):
    (tmp_path / "x.pkl").write_text("version https://git-lfs.github.com/spec/v1")
    assert main(["convert", str(tmp_path / "x.pkl"), str(tmp_path / "y")]) == 2
    said = capsys.readouterr().err
    assert "Git-LFS pointer" in said
    assert said.count("\n") == 1
