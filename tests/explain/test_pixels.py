"""Held against a classifier of the mean red, whose smallest flip is known on paper."""

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import METHODS, PixelAscent, counterfactual


def test_the_step_is_the_smallest_that_flips(bundle, colour):
    """From red 0 the class "red" begins at a mean of 0.25: every red pixel moves by that and one grey level at most."""
    found = counterfactual(bundle, colour(0.0), "red", method="pixels")
    assert found.valid.all()
    assert found.method == "pixels"
    assert found.reconstruction is None
    red, *others = (found.counterfactuals[0] - found.original).abs()
    assert 0.25 - 1 / 255 <= float(red.mean()) <= 0.25 + 3 / 255
    assert all(float(other.max()) == 0 for other in others)  # the gradient is zero there
    assert found.settings["levels"] == [32]  # 0.25 of the range of 2 is 32 grey levels


def test_what_the_box_does_not_reach_is_not_valid(bundle, colour):
    found = counterfactual(bundle, colour(0.0), "red", method="pixels", levels=16)
    assert not found.valid.any()
    assert float((found.counterfactuals[0] - found.original).abs().max()) <= 16.5 * 2 / 255


def test_several_answers_differ_and_come_in_order(bundle, colour):
    found = counterfactual(bundle, colour(0.1), "dark", count=3, method="pixels", levels=64)
    again = counterfactual(bundle, colour(0.1), "dark", count=3, method="pixels", levels=64)
    assert found.valid.all()
    assert found.l1.diff().min() >= 0
    assert len({image.numpy().tobytes() for image in found.counterfactuals}) == 3
    assert torch.equal(found.counterfactuals, again.counterfactuals)


def test_images_of_one_batch_do_not_touch_each_other(bundle, colour):
    images = [colour(0.0), colour(0.2), colour(-0.2)]
    together = PixelAscent(bundle).explain(images, ["red", "dark", "red"])
    alone = [counterfactual(bundle, x, t, method="pixels") for x, t in zip(images, ("red", "dark", "red"))]
    for a, b in zip(together, alone):
        assert torch.equal(a.counterfactuals, b.counterfactuals)


def test_black_boxes_are_refused(bundle, colour):
    class Box(type(bundle.classifier)):
        def forward(self, x):
            return super().forward(x).detach()

    blind = type(bundle)(bundle.generator, Box())
    with pytest.raises(InputError, match="`classifier` must have gradients"):
        counterfactual(blind, colour(0.0), "red", method="pixels")


def test_wrong_options(bundle):
    assert METHODS["pixels"] is PixelAscent
    for options, words in (({"steps": 0}, "`steps` must be at least 1"), ({"levels": 256}, "`levels` must lie in")):
        with pytest.raises(InputError, match=words):
            PixelAscent(bundle, **options)
