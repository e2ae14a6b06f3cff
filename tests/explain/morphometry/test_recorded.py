import torch

from histoxplain.explain import Explanation, change_map, quantised, with_measurements


def record(side):
    original = quantised(torch.linspace(-0.8, 0.0, side).expand(1, side, side))
    images = quantised(original + 0.3)[None]
    return Explanation(
        method="toy",
        case_id="1",
        original=original,
        counterfactuals=images,
        class_names=("a", "b"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([1.0, 0.0]),
        probabilities_after=torch.tensor([[0.0, 1.0]]),
        valid=torch.tensor([True]),
        change=change_map(original[None], images),
    )


def test_measurements_are_saved_with_the_record(tmp_path):
    e = with_measurements(record(32))
    (found,) = e.measurements
    brightness = next(row for row in found["changes"] if row["name"] == "brightness")
    assert round(brightness["change"], 2) == 0.5  # 0.3 became 0.45
    assert "50 % brighter" in found["sentence"]
    assert Explanation.load(e.save(tmp_path / "e")).measurements == e.measurements


def test_too_small_is_left_without():
    assert with_measurements(record(8)).measurements is None
