import json

import pytest

from histoxplain.cli import main
from histoxplain.models import load_bundle


def figures_of(capsys, *arguments):
    assert main(["measure", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_samples_of_the_shipped_bundle_show_their_class(tmp_path, capsys):
    out = tmp_path / "m.json"
    figures = figures_of(capsys, "--count", 30, "--out", out)
    assert figures == json.loads(out.read_text())
    assert set(figures["classifier_agreement"]) == {"all", *load_bundle("lung-histology").class_names}
    assert figures["classifier_agreement"]["all"] >= 0.8  # .96 of 600, .92 promised
    assert figures["oracle_agreement"]["all"] >= 0.7  # .91 of 600, .85 promised


def test_the_same_seed_draws_the_same_samples(capsys):
    first, second, other = (figures_of(capsys, "--count", 9, "--seed", seed) for seed in (1, 1, 2))
    for figures in (first, second, other):
        figures.pop("seconds_per_image")
    assert first == second
    assert other["seed"] == 2


@pytest.mark.usefixtures("paint")
def test_bad_input(refused, tmp_path):
    assert "`count` must be at least 2, got 1" in refused("measure", "--bundle", "paint", "--count", 1)
    assert "`data`" in refused("measure", tmp_path / "missing.lmdb", "--bundle", "paint")
    assert "`bundle`" in refused("measure", "--bundle", "pain")
