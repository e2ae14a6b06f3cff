import pytest

from histoxplain.cli import main
from histoxplain.train import classifier as training


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def train(data, out, config, *, resume):
        calls.append((data, out, config, resume))
        report = {"images": 4, "balanced_accuracy": 0.75, "auc": None, "ece": 0.125, "one_against_rest": {"a": 0.5}}
        return {"validation": report, "test": None}

    monkeypatch.setattr(training, "train_classifier", train)
    return calls


def test_options_reach_the_training(asked, capsys, tmp_path):
    assert main(["train", "classifier", "d.lmdb", "--out", str(tmp_path), "--epochs", "3", "--resume"]) == 0
    data, out, config, resume = asked[0]
    assert (str(data), out, config.epochs, resume) == ("d.lmdb", tmp_path, 3, True)
    printed = capsys.readouterr().out
    assert "validation: 4 images, balanced accuracy 0.750, AUC undefined, ECE 0.125" in printed
    assert "a against the rest: 0.500" in printed
    assert "test: no images" in printed


def test_bad_settings_are_one_line(asked, capsys, tmp_path):
    assert main(["train", "classifier", "d.lmdb", "--out", str(tmp_path), "--epochs", "0"]) == 2
    assert "`epochs` must be at least 1, got 0" in capsys.readouterr().err.replace("\n", " ")
    assert not asked
