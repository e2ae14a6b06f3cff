"""Concepts are shown by anybody's generator: a whole training on the command line with one in NVIDIA's format."""

import pytest
import torch

from histoxplain.cli import main
from histoxplain.data import fingerprint, open_source
from histoxplain.data.synthetic import prepare_tissue
from histoxplain.models import (
    Classifier,
    ClassifierConfig,
    load_classifier,
    load_concepts,
    load_generator,
    save_classifier,
)
from histoxplain.train import viscoin


@pytest.mark.parametrize("c_dim", [0, 2])
def test_concepts_of_a_foreign_generator(write_pickle, make_generator, tmp_path, monkeypatch, c_dim):
    monkeypatch.setattr(viscoin, "SETTLED", 32)
    torch.manual_seed(0)
    theirs = write_pickle({"G_ema": make_generator(c_dim=c_dim)})
    prepare_tissue(tmp_path / "d.lmdb", 30, 16)
    shape = ClassifierConfig(class_names=("healthy", "diseased"), architecture="squeezenet1_1", resolution=48)
    save_classifier(tmp_path / "c.safetensors", Classifier(shape))
    networks = ["--generator", str(theirs), "--classifier", str(tmp_path / "c.safetensors"), "--out", str(tmp_path)]
    sizes = ["--concepts", "3", "--width", "4", "--batch", "4", "--kimg", "0.016", "--warm-kimg", "0.008"]
    often = ["--snapshot-kimg", "0.016", "--tick-kimg", "0.008", "--precision", "float32", "--device", "cpu"]
    assert main(["train", "viscoin", str(tmp_path / "d.lmdb"), *networks, *sizes, *often]) == 0
    C, G = load_classifier(tmp_path / "c.safetensors"), load_generator(theirs, "cpu")
    model = load_concepts(tmp_path / "concepts.safetensors", C, G)
    torch.testing.assert_close(model.omega.mean, G.mapping.w_avg, atol=1e-3, rtol=1e-3)  # theirs; half precision
    source = open_source(tmp_path / "d.lmdb", split="train")
    assert model.meta == {"data": fingerprint(source), "images_seen": 16}
    found = model.concepts(source[0].image[None])
    assert (found.phi.shape, found.support.shape) == ((1, 3, 3, 3), (1, 27))
    assert model.draw(found).shape == (1, 3, 16, 16)
    assert [len(list(tmp_path.glob(f"{name}-*.png"))) for name in ("samples", "concepts")] == [1, 1]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
