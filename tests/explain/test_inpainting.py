from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.data import Case
from histoxplain.evaluation import ask
from histoxplain.evaluation.questions import Cases
from histoxplain.explain import METHODS, Explanation, Inpainting, MaskSettings


class Darken(nn.Module):
    """Makes red what is redder than 0 in any pixel -0.5, and leaves the rest."""

    class_names, channels, resolution = ("dark", "medium", "red"), 3, 16
    config = SimpleNamespace(normal=0)

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, condition=None):
        assert condition is None
        y = x.clone()
        y[:, 0] = torch.where(x[:, 0] > 0, -0.5, x[:, 0])
        return y


@pytest.fixture
def bundle(bundle):
    """Without a generator, with an inpainter and advice on masks."""
    made = replace(bundle, generator=None)
    object.__setattr__(made, "inpainter", Darken())
    object.__setattr__(made, "info", {"mask": {"threshold": 0.1, "closing": 1}, "figures": {}})
    return made


@pytest.fixture
def patch():
    """Dark, but for a red square with a hole."""
    x = torch.full((3, 16, 16), -0.5)
    x[0, 2:14, 2:14] = 1.0
    x[0, 7, 7] = -0.5
    return x


def test_the_difference_is_the_mask(bundle, patch):
    (found,) = Inpainting(bundle).explain([patch])
    assert METHODS["inpainting"] is Inpainting
    assert (found.method, found.target_class, found.valid.tolist()) == ("inpainting", 0, [True])
    assert found.counterfactuals[0, 0].max() < -0.49
    assert torch.equal(
        found.masks[0], torch.nn.functional.pad(torch.ones(12, 12), (2,) * 4).bool()
    )  # the hole is closed
    assert found.settings["mask"] == {"threshold": 0.1, "smooth": 0.0, "opening": 0, "closing": 1, "largest": False}


def test_every_setting_of_the_mask_is_an_argument(bundle, patch):
    asked = {"smooth": 0.5, "opening": 2, "closing": 0, "largest": True}
    explainer = Inpainting(bundle, mask_threshold=0.2, **asked)
    assert explainer.mask == MaskSettings(threshold=0.2, **asked)
    (found,) = Inpainting(bundle, closing=0).explain([patch])
    assert not found.masks[0, 7, 7]
    (found,) = Inpainting(bundle, mask_threshold=0.5).explain([patch])
    assert not found.masks.any()  # the change is (1 + .5) / 2 in one of three channels: a quarter


def test_masks_are_saved_and_loaded(bundle, patch, tmp_path):
    (found,) = Inpainting(bundle).explain([patch], ids=["patch"])
    found.save(tmp_path / "e")
    assert (tmp_path / "e" / "mask-1.png").exists()
    again = Explanation.load(tmp_path / "e")
    assert torch.equal(again.masks, found.masks)
    assert "mask_file" in again.to_json()["counterfactuals"][0]
    assert ">mask<" in found._repr_html_()
    with pytest.raises(InputError, match="`masks` must be"):
        replace(found, masks=found.masks[:, 1:])


def test_there_is_nothing_but_normal_to_ask_for(bundle, patch, colour):
    assert Inpainting(bundle).explain([patch], "dark")[0].target_class == 0
    with pytest.raises(InputError, match="`target` must be dark for inpainting, got medium; leave it out"):
        Inpainting(bundle).explain([patch], "medium")
    with pytest.raises(InputError, match="its opinion of image-1"):
        Inpainting(bundle).explain([colour(-0.6)])  # normal already


def test_evaluation_asks_about_abnormal_images_only(bundle, colour):
    cases = [Case(colour(level), label, f"c{i}") for i, (level, label) in enumerate([(-0.6, 0), (0.6, 2), (0.0, 1)])]
    found = ask(Inpainting(bundle), Cases(cases, bundle.class_names), limit=3)
    assert (found.ids, found.targets) == (("c1", "c2"), (0, 0))


def test_a_bundle_without_an_inpainter_is_refused(bundle):
    object.__setattr__(bundle, "inpainter", None)
    with pytest.raises(InputError, match=r"hold an inpainter for the method inpainting, got .*train inpainting"):
        Inpainting(bundle)
