import json

import pytest
import torch
from safetensors.torch import save_file

from histoxplain.cli import main
from histoxplain.data.synthetic import prepare_tissue
from histoxplain.models import Classifier, ClassifierConfig, save_classifier
from histoxplain.train import inpainting as training


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def train(data, classifier, out, config, *, resume):
        calls.append((str(data), str(classifier), out, config, resume))
        return out / "inpainter.safetensors"

    monkeypatch.setattr(training, "train_inpainting", train)
    return calls


def test_options_reach_the_training(asked, capsys, tmp_path):
    command = ["train", "inpainting", "d.lmdb", "--classifier", "c.safetensors", "--out", str(tmp_path)]
    assert main([*command, "--preset", "clinical", "--adversarial", "mse", "--kl-weight", "2", "--resume"]) == 0
    data, classifier, out, config, resume = asked[0]
    assert (data, classifier, out, resume) == ("d.lmdb", "c.safetensors", tmp_path, True)
    config = config.settled()
    assert (config.adversarial, config.kl_weight, config.tv_weight, config.skips) == ("mse", 2, 5e-5, (1, 2, 3, 4))
    assert capsys.readouterr().out == f"inpainter -> {tmp_path / 'inpainter.safetensors'}\n"


def test_bad_settings_are_named(asked, capsys, tmp_path):
    command = ["train", "inpainting", "d.lmdb", "--classifier", "c.safetensors", "--out", str(tmp_path)]
    assert main([*command, "--generator-interval", "0"]) == 2
    assert "`generator_interval` must be at least 1, got 0" in capsys.readouterr().err.replace("\n", " ")
    assert not asked


def test_from_training_to_masks(tmp_path, capsys, refused, monkeypatch):
    monkeypatch.setattr(training, "check_finds_both", lambda *_: None)
    data, run, bundle, judge = (tmp_path / name for name in ("t.lmdb", "run", "toy", "classifier.safetensors"))
    prepare_tissue(data, 40, 32, seed=2, progress=False)
    torch.manual_seed(0)
    config = ClassifierConfig(class_names=("healthy", "diseased"), architecture="squeezenet1_1", resolution=32)
    classifier = Classifier(config)
    classifier.network.classifier[1].bias.data += torch.tensor([-9.0, 9.0])  # finds everything diseased
    save_classifier(judge, classifier)
    command = ["train", "inpainting", data, "--classifier", judge, "--out", run, "--kimg", "0.008", "--batch", "4"]
    command += ["--channel-base", "4", "--depth", "2", "--skips", "1", "--width-d", "4", "--precision", "float32"]
    assert main([str(a) for a in command]) == 0
    advice = tmp_path / "advice.json"
    advice.write_text(json.dumps({"mask": {"threshold": 0.01}, "tissue": {"extent": [0.2, 0.4]}}))
    command = ["bundle", bundle, "--inpainter", run / "inpainter.safetensors", "--classifier", judge]
    assert main([str(a) for a in [*command, "--advice", advice]]) == 0
    assert "## Inpainter" in (bundle / "README.md").read_text()
    assert (bundle / "inpaintings.png").exists()
    assert json.loads((bundle / "bundle.json").read_text())["mask"] == {"threshold": 0.01}
    command = ["evaluate", data, "--bundle", bundle, "--method", "inpainting", "--masks", "--limit", "4"]
    command += ["--rise-masks", "8", "--mask-rule", "quantile", "--split", "train", "--no-morphometry"]
    assert main([str(a) for a in [*command, "--out", tmp_path / "e.json"]]) == 0
    masks = json.loads((tmp_path / "e.json").read_text())["masks"]
    names = ["inpainting", "rise", "score-cam", "layer-cam", "grad-cam", "everything"]
    assert [row["method"] for row in masks["rows"]] == names
    assert masks["rows"][-1]["recall"]["value"] == 1
    assert "counterfactual validity" in capsys.readouterr().out
    command = ["evaluate", data, "--bundle", bundle, "--method", "pixels", "--masks", "--out", tmp_path / "f.json"]
    assert "`masks` must go with --method inpainting, got pixels" in refused(*command)
    save_file({"x": torch.zeros(1)}, tmp_path / "odd.safetensors")
    assert "odd.safetensors" in refused(
        "bundle", bundle, "--classifier", judge, "--inpainter", tmp_path / "odd.safetensors"
    )
