from pathlib import Path
from types import SimpleNamespace

import pytest

from histoxplain import models
from histoxplain.cli import main
from histoxplain.train import viscoin


@pytest.fixture
def asked(monkeypatch):
    """What reached the training."""
    calls = []

    def train(data, out, classifier, generator, config, *, encoder, resume, names):
        calls.append((classifier, generator, encoder, config, resume, names))
        return out / "concepts.safetensors"

    bundle = SimpleNamespace(name="b", generator="its generator", classifier="its classifier", encoder="its encoder")
    monkeypatch.setattr(viscoin, "train_viscoin", train)
    monkeypatch.setattr(models, "load_bundle", lambda name: bundle)
    for name in ("load_generator", "load_classifier", "load_encoder"):
        monkeypatch.setattr(models, name, lambda path, name=name: (name, Path(path).name))
    return calls


def test_a_bundle_gives_all_networks(asked, capsys, tmp_path):
    assert main(["train", "viscoin", "d.lmdb", "--bundle", "b", "--out", str(tmp_path), "--concepts", "16"]) == 0
    classifier, generator, encoder, config, resume, names = asked[0]
    assert (classifier, generator, encoder) == ("its classifier", "its generator", "its encoder")
    assert (config.concepts, resume, names["bundle"], names["encoder"]) == (16, False, "b", None)
    assert "concepts.safetensors" in capsys.readouterr().out


def test_another_generator_leaves_the_bundles_encoder_out(asked, tmp_path):
    more = ["--bundle", "b", "--out", str(tmp_path), "--generator", "theirs.pkl"]
    assert main(["train", "viscoin", "d.lmdb", *more]) == 0
    assert main(["train", "viscoin", "d.lmdb", *more, "--encoder", "e.safetensors", "--resume"]) == 0
    assert [call[2] for call in asked] == [None, ("load_encoder", "e.safetensors")]
    assert [call[1] for call in asked] == [("load_generator", "theirs.pkl")] * 2
    assert asked[1][4]


@pytest.mark.parametrize("options", [[], ["--generator", "g.safetensors"]])
def test_networks_are_needed(asked, capsys, options):
    assert main(["train", "viscoin", "d.lmdb", "--out", "r", *options]) == 2
    assert "`bundle` must be named, or a generator and a classifier" in capsys.readouterr().err
    assert not asked
