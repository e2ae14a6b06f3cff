import json
import math

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.data import Case
from histoxplain.evaluation import Evaluation, evaluate, measure_explanations, real_features_of
from histoxplain.evaluation.questions import Cases
from histoxplain.metrics import frechet_distance, gather_features


def image(red, side=16):
    x = torch.zeros(3, side, side)
    x[0] = red
    return x


@pytest.fixture
def red(explain, bundle):
    """Turn medium red 0 into these."""
    return lambda reds, valid, **others: explain(
        image(0.0), [image(r) for r in reds], valid, bundle.class_names, 1, 2, **others
    )


def test_figures_on_paper(bundle, red):
    """Two images with two answers each: three are valid, two convince the stricter oracle, red moves by 1/2."""
    found = measure_explanations([red((0.5, 0.28), [True, True]), red((0.6, 0.02), [True, False])], bundle)
    figures = found.to_dict()
    assert figures["flip_rate"] == 0.75
    assert figures["oracle_flip_rate"] == 0.5  # its boundary lies at 0.3
    assert figures["l1"] == pytest.approx((0.5 + 0.28 + 0.6 + 0.02) / 4 / 3)
    assert figures["sparsity"] == 0.25
    assert figures["seconds_per_image"] == 3
    assert (figures["fid"], figures["kid"], figures["real_images"]) == (None, None, None)
    assert figures["pairs"] == {"medium to red": {"images": 2, "valid": 2, "oracle": 2}}
    assert [row["valid"] for row in figures["cases"]] == [[True, True], [True, False]]
    assert [row["oracle"] for row in figures["cases"]] == [[True, False], [True, False]]
    # red becomes likely from 0.25 on: of changes by 0.5, 0.28 and 0.6 this is how much is needed
    assert figures["minimality"] == pytest.approx((0.25 / 0.5 + 0.25 / 0.28 + 0.25 / 0.6) / 3, abs=0.02)
    assert figures["intervals"]["l1"]["low"] == pytest.approx((0.6 + 0.02) / 2 / 3)  # the same image drawn twice
    assert figures["intervals"]["flip_rate"] == {"value": 0.75, "low": 0.5, "high": 1.0}


def test_the_null_edit_is_the_reconstruction(bundle, red):
    """Of two reconstructions one is 0.06 too red, the other so much that the classifier calls it red."""
    done = [red((0.5,), [True], reconstruction=image(r)) for r in (0.06, 0.3)]
    found = measure_explanations(done, bundle)
    assert found["composition_l1"] == pytest.approx((0.06 + 0.3) / 2 / 3)
    assert found["composition_kept"] == 0.5
    assert found["composition_perceptual"] > 0
    itself = measure_explanations([red((0.5,), [True])], bundle)
    assert [itself[f"composition_{name}"] for name in ("l1", "perceptual", "kept")] == [0, 0, 1]


def test_what_breaks_is_not_stable(bundle, explain):
    """Red stripes of which the first column carries the verdict: a shift by one pixel takes it away."""

    class First(type(bundle.classifier)):
        def forward(self, x):
            return super().forward(x[..., :1].expand(-1, -1, -1, 16))

    fragile = type(bundle)(bundle.generator, First())
    stripe = image(0.0)
    stripe[0, :, 0] = 0.9
    done = [explain(image(0.0), [x], [True], bundle.class_names, 1, 2) for x in (stripe, image(0.9))]
    assert measure_explanations(done[:1], fragile)["stability"] == 0
    assert measure_explanations(done, fragile)["stability"] == 0.5
    assert measure_explanations(done[1:], bundle)["stability"] == 1


def test_nothing_found_is_said(bundle, red):
    """A method that found nothing flips nothing, and has no distance."""
    found = measure_explanations([red((), []), red((), [])], bundle)
    assert found["flip_rate"] == 0
    assert [found[name] for name in ("l1", "perceptual", "stability", "minimality", "fid")] == [None] * 5
    assert "classifier flips" in found.table()
    with pytest.raises(InputError, match="at least one explanation"):
        measure_explanations([], bundle)


def test_counterfactuals_that_are_real_images_are_near_them(bundle, red):
    """Fréchet and kernel distance to the very images that are the counterfactuals."""
    reds = [0.4, 0.5, 0.6, 0.7, 0.8]
    source = Cases([Case(image(r), 2, f"{r}") for r in reds], bundle.class_names)
    real = real_features_of(source, bundle, [2])
    found = measure_explanations([red((r,), [True]) for r in reds], bundle, real)
    assert found["fid"] == pytest.approx(0, abs=0.02)  # of features in single precision
    far = measure_explanations([red((r - 1.2,), [True]) for r in reds], bundle, real)
    assert far["fid"] > 1
    fake = torch.stack([image(r - 1.2) for r in reds])
    assert far["fid"] == pytest.approx(frechet_distance(real, gather_features(fake, keep=5)), rel=1e-3)
    assert far["kid"] > found["kid"]
    for name in ("fid", "kid"):
        ends = far.figures[name]
        assert ends.low < ends.value < ends.high
    assert found.facts["real_images"] == 5


def test_measured_at_once(bundle):
    source = Cases([Case(image(r), k, f"case {k}") for k, r in enumerate((-0.5, 0.0, 0.5))], bundle.class_names)
    found = evaluate(bundle, source, method="pixels", limit=3, levels=128)
    assert found.images == 3
    assert found["flip_rate"] == 1
    assert found.method == "pixels"


def test_changes_are_averaged_by_pair(bundle, explain):
    """Grey images that become brighter by a fifth of the full range."""
    done = []
    for i in range(4):
        x = torch.linspace(-0.8, 0.0 + i / 50, 32).expand(3, 32, 32).clone()
        done.append(explain(x, [x + 0.4], [True], bundle.class_names, 1, 2))
    (name, change), *more = measure_explanations(done, bundle).changes.items()
    assert (name, more, change["kind"], change["images"]) == ("medium to red", [], "generic", 4)
    brightness = next(row for row in change["changes"] if row["name"] == "brightness")
    assert brightness["after"] - brightness["before"] == pytest.approx(0.2, abs=1e-6)
    assert brightness["low"] <= brightness["change"] <= brightness["high"]
    assert "brighter" in change["sentence"]
    assert not measure_explanations(done, bundle, morphometry=False).changes


def test_saved_and_read_again(bundle, red, tmp_path):
    found = measure_explanations([red((0.5,), [True]), red((0.6,), [True])], bundle, data="somewhere")
    again = Evaluation.load(found.save(tmp_path / "m.json"))
    assert again.to_dict() == found.to_dict()
    assert again.figures.keys() == found.figures.keys()
    one = measure_explanations([red((0.5,), [True])], bundle)
    assert math.isnan(Evaluation.load(one.save(tmp_path / "one.json")).figures["l1"].low)
    (tmp_path / "old.json").write_text('{"method": "latent", "images": 3}')
    with pytest.raises(InputError, match="measure again"):
        Evaluation.load(tmp_path / "old.json")


def test_an_oracle_that_returns_nan_is_no_disagreement(bundle, red):
    class Broken(type(bundle.oracle)):
        def forward(self, x):
            return super().forward(x) * torch.nan

    broken = type(bundle)(bundle.generator, bundle.classifier, Broken())
    with pytest.raises(InputError, match="finite numbers, got NaN or infinity for 1 of 1 images"):
        measure_explanations([red((0.5,), [True])], broken)


def test_what_could_not_be_measured_is_said(bundle, red):
    """Data of a single class that nobody asks for have no real images to compare with; nothing shows in flat ones."""
    source = Cases([Case(image(0.0), 1, "a"), Case(image(0.0), 1, "b")], bundle.class_names)
    real = real_features_of(source, bundle, [2])
    assert real is None
    found = measure_explanations([red((0.5,), [True]), red((0.5,), [True])], bundle, real)
    assert "Fréchet distance to real target images (it takes real images of the classes asked for)" in found.table()
    assert "perceptual distance between answers (it takes --count 2 or more)" in found.table()
    json.dumps(found.to_dict(), allow_nan=False)
