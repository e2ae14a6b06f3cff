import json
from dataclasses import asdict, replace

import pytest

from histoxplain.cli import main
from histoxplain.models import Generator, GeneratorConfig, save_generator
from histoxplain.train import gan
from histoxplain.train.config_gan import GANConfig


@pytest.fixture
def asked(monkeypatch):
    """What reached the training."""
    calls = []

    def train(data, out, config, *, resume):
        calls.append((config, resume))
        return out / "generator.safetensors"

    monkeypatch.setattr(gan, "train_gan", train)
    return calls


@pytest.fixture
def theirs(tmp_path):
    config = GeneratorConfig(resolution=8, channel_base=64, channel_max=8, z_dim=4, w_dim=6, mapping_layers=5)
    save_generator(tmp_path / "theirs.safetensors", Generator(config))
    return str(tmp_path / "theirs.safetensors")


def train(tmp_path, *arguments):
    return main(["train", "gan", "d.lmdb", "--out", str(tmp_path / "run"), *arguments])


def test_options_reach_the_training(asked, tmp_path):
    options = "--freeze-d 4 --mirror --subset 9 --augment fixed --augment-p 0.3 --augpipe blit"
    assert train(tmp_path, *options.split()) == 0
    config, resume = asked[0]
    assert not resume
    assert (config.freeze_d, config.mirror, config.subset) == (4, True, 9)
    assert (config.augment, config.augment_p, config.augpipe) == ("fixed", 0.3, "blit")


def test_a_fixed_augmentation_needs_a_probability(asked, refused, tmp_path):
    said = refused("train", "gan", "d.lmdb", "--out", tmp_path / "run", "--augment", "fixed")
    assert "`augment_p` must be above 0" in said
    assert not asked


@pytest.mark.parametrize("spelling", [["--resume", "{}"], ["--resume={}"], ["--start-from", "{}"]])
def test_resume_with_a_file_starts_from_it_in_its_shape(asked, theirs, tmp_path, spelling):
    assert train(tmp_path, *(word.format(theirs) for word in spelling), "--mapping-layers", "2") == 0
    config, resume = asked[0]
    assert not resume
    assert config.start_from == theirs
    assert (config.z_dim, config.w_dim, config.channel_max, config.ada_kimg) == (4, 6, 8, 100)
    assert config.mapping_layers == 2  # what is given wins, even over a shape


def test_resume_alone_continues_with_the_settings_of_the_run(asked, tmp_path):
    before = GANConfig(batch=12, mbstd_group=3, guide=("a",), kimg=7)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(json.dumps({"data": "d.lmdb", **asdict(before)}))
    assert train(tmp_path, "--resume") == 0
    assert train(tmp_path, "--resume", "--kimg", "1000") == 0
    assert main(["train", "gan", "--resume", "d.lmdb", "--out", str(tmp_path / "run")]) == 0
    assert asked == [(before, True), (replace(before, kimg=1000), True), (before, True)]


def test_a_preset_yields_to_what_is_given(asked, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from histoxplain import data

    monkeypatch.setitem(vars(data), "open_source", lambda *_, **__: SimpleNamespace(resolution=256))
    assert train(tmp_path, "--preset", "paper256", "--batch", "32") == 0
    config, _ = asked[0]
    assert (config.batch, config.mbstd_group, config.gamma, config.kimg) == (32, 8, 1, 25000)


def test_a_file_that_is_no_checkpoint_is_one_line(asked, refused, tmp_path):
    (tmp_path / "page.pkl").write_text("<html>")
    said = refused("train", "gan", "d.lmdb", "--out", tmp_path / "run", "--resume", tmp_path / "page.pkl")
    assert "web page" in said
    for missing in ("none.pkl", "none"):
        assert "`start_from` must be an existing file" in refused(
            "train", "gan", "d.lmdb", "--out", tmp_path / "run", "--resume", tmp_path / missing
        )
    assert not asked
