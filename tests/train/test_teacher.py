"""Somebody's own classifier may teach, if gradients pass through it."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from histoxplain import InputError
from histoxplain.data.synthetic import prepare_tissue
from histoxplain.models import adopt_classifier, load_checkpoint, save_adopted
from histoxplain.train import CycleGANConfig, inpainting, train_cyclegan
from histoxplain.train.cyclegan import check_same_classes
from histoxplain.train.teacher import check_teaches

CLASSES = ("dark", "light")


def lightness(x):
    return torch.stack([-x.mean((1, 2, 3)), x.mean((1, 2, 3))], 1)


def test_a_black_box_is_refused_and_told_what_to_do():
    blind = adopt_classifier(lambda x: lightness(x).detach(), CLASSES)
    with pytest.raises(InputError, match=r"must have gradients.*TorchScript, or set `counter_weight` to 0"):
        check_teaches(blind, 16, "set `counter_weight` to 0")
    check_teaches(adopt_classifier(lightness, CLASSES), 16, "do without")


@pytest.fixture
def own(tmp_path):
    """The description of an exported network, which knows light images from dark ones."""
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([-1.0, 1]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
        network[0].bias.zero_()
    torch.jit.script(network).save(tmp_path / "own.pt")
    return save_adopted(tmp_path / "own.json", adopt_classifier(tmp_path / "own.pt", CLASSES, resolution=16))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_adopted_network_teaches_a_cyclegan_in_either_precision(own, tmp_path, precision):
    draw = np.random.default_rng(0)
    for name, grey in zip(CLASSES, (80, 180)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(12):
            pixels = (grey + draw.integers(-40, 40, (16, 16, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    small = {"kimg": 0.008, "batch": 4, "width": 4, "depth": 2, "width_d": 4, "depth_d": 2, "validation": 2}
    config = CycleGANConfig(**small, precision=precision, device="cpu")
    path = train_cyclegan(tmp_path / "images", own, tmp_path / "run", config, quiet=True)
    assert load_checkpoint(path).meta["classifier"] == "adopted"


def test_a_black_box_does_not_teach_inpainting(tmp_path, monkeypatch):
    prepare_tissue(tmp_path / "t.lmdb", 12, 16, seed=1, progress=False)
    names = ("healthy", "diseased")
    blind = adopt_classifier(lambda x: lightness(x).detach(), names, resolution=16)
    monkeypatch.setattr(inpainting, "load_classifier", lambda *_: blind)
    monkeypatch.setattr(inpainting, "check_finds_both", lambda *_: None)
    with pytest.raises(InputError, match=r"must have gradients.*or set `kl_weight` to 0"):
        inpainting.train_inpainting(tmp_path / "t.lmdb", "own.json", tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_classes_in_another_order_are_told_how_to_be_turned():
    turned = adopt_classifier(lightness, ("light", "dark"))
    with pytest.raises(InputError, match="adopt it with `class_names` in the order of the data, and `outputs`"):
        check_same_classes(turned, CLASSES, 3)
    check_same_classes(adopt_classifier(lightness, CLASSES, outputs=("light", "dark")), CLASSES, 3)
