import json
from dataclasses import asdict

import pytest

from histoxplain.cli import main
from histoxplain.cli.train_stylex import DEFAULTS
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


def test_the_classifier_gives_labels_and_guides(asked, capsys, tmp_path):
    given = ["--classifier", "c.safetensors", "--kimg", "3", "--guide-weight", "2"]
    assert main(["train", "stylex", "d.lmdb", "--out", str(tmp_path), *given]) == 0
    config, resume = asked[0]
    assert (config.label_classifier, config.guide, config.guide_weight) == ("c.safetensors", ("c.safetensors",), 2)
    assert (config.reconstruct_weight, config.kimg, resume) == (DEFAULTS["reconstruct_weight"], 3, False)
    assert "encoder ->" in capsys.readouterr().out


def test_a_resume_knows_its_classifier(asked, tmp_path):
    began = GANConfig(label_classifier="c", guide=("c",), guide_weight=1, reconstruct_weight=7)
    (tmp_path / "config.json").write_text(json.dumps({"data": "d.lmdb", **asdict(began)}))
    assert main(["train", "stylex", "d.lmdb", "--out", str(tmp_path), "--resume"]) == 0
    assert asked[0] == (began, True)


def test_no_classifier_is_one_line(asked, capsys, tmp_path):
    assert main(["train", "stylex", "d.lmdb", "--out", str(tmp_path)]) == 2
    assert "`classifier` must name a classifier checkpoint" in capsys.readouterr().err
    assert not asked
