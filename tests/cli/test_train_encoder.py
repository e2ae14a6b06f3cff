from pathlib import Path
from types import SimpleNamespace

import pytest

from histoxplain import models
from histoxplain.cli import main
from histoxplain.train import encoder


@pytest.fixture
def asked(monkeypatch):
    """What reached the training."""
    calls = []

    def train(data, out, generator, classifier, config, *, resume, names):
        calls.append((generator, classifier, config, resume, names))
        return out / "encoder.safetensors"

    monkeypatch.setattr(encoder, "train_encoder", train)
    for name in ("load_generator", "load_classifier"):
        monkeypatch.setattr(models, name, lambda path, name=name: (name, Path(path).name))
    return calls


def test_networks_and_options_reach_the_training(asked, capsys, tmp_path):
    files = ["--generator", "theirs.pkl", "--classifier", "c.safetensors"]
    assert main(["train", "encoder", "d.lmdb", *files, "--out", str(tmp_path), "--kimg", "3", "--resume"]) == 0
    generator, classifier, config, resume, names = asked[0]
    assert generator == ("load_generator", "theirs.pkl")
    assert classifier == ("load_classifier", "c.safetensors")
    assert (config.kimg, resume, names["bundle"]) == (3, True, None)
    assert "encoder.safetensors" in capsys.readouterr().out


def test_a_bundle_without_generator_is_refused_unless_one_is_named(asked, capsys, monkeypatch, tmp_path):
    bundle = SimpleNamespace(name="turns", generator=None, classifier="its classifier", translator="turns images")
    monkeypatch.setattr(models, "load_bundle", lambda name: bundle)
    command = ["train", "encoder", "d.lmdb", "--bundle", "turns", "--out", str(tmp_path)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "`bundle` must hold a generator for an encoder, got turns without" in said
    assert said.strip().endswith("take a bundle with one or name one with --generator.")
    assert not asked
    assert main([*command, "--generator", "g.safetensors"]) == 0
    assert asked[0][:2] == (("load_generator", "g.safetensors"), "its classifier")


@pytest.mark.parametrize("options", [[], ["--generator", "g.safetensors"]])
def test_both_networks_are_needed(asked, capsys, options):
    assert main(["train", "encoder", "d.lmdb", "--out", "r", *options]) == 2
    assert "`bundle` must be named, or a generator and a classifier" in capsys.readouterr().err
    assert not asked
