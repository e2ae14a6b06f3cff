"""What the tests of several processes run, in one of them or in two under torchrun: predict, explain and evaluate.

torchrun --nproc-per-node 2 tests/cli/together.py FOLDER
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch

from histoxplain import models
from histoxplain.cli import main


def stand_ins():
    """The bundle of the explainers' tests: colours, and a classifier of redness."""
    path = Path(__file__).parents[1] / "explain" / "conftest.py"
    spec = spec_from_file_location("explain_stand_ins", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Bundle(module.Paint(), module.Redness(), module.Redness(width=0.3))


def use_all(bundle, folder, out):
    """Each verb on the images of a folder, of which predict may leave some out."""
    bundle.classifier.temperature = torch.ones(())  # which says where a classifier is
    images, common = str(folder / "images"), ["--bundle", "paint", "--out"]
    assert main(["predict", str(folder / "scans"), *common, str(out / "predictions.csv"), "--batch", "2"]) == 0
    explain = ["explain", images, *common, str(out / "explanations"), "--batch-size", "1"]
    assert main([*explain, "--count", "1", "--fit", "--generated", "1", "--film", "0"]) == 0
    evaluate = ["evaluate", images, *common, str(out / "figures.json"), "--batch-size", "1", "--fit", "--limit", "3"]
    assert main([*evaluate, "--split", "all", "--keep"]) == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    bundle = stand_ins()
    vars(models)["load_bundle"] = lambda name: bundle
    use_all(bundle, Path(sys.argv[1]), Path(sys.argv[1]) / "two")
