from __future__ import annotations

import subprocess
import sys

import torch

from histoxplain import _torchvision

FAKE = """
import pathlib, sys, torch

folder = pathlib.Path(sys.argv[1]) / "torchvision"
folder.mkdir()
(folder / "__init__.py").write_text("import torch, torchvision.part\\n" + sys.argv[2])
(folder / "part.py").touch()
sys.path.insert(0, sys.argv[1])

from histoxplain._torchvision import torchvision
print(torchvision().__name__)
"""


def run_beside(body: str, folder) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "ignore", "-c", FAKE, str(folder), body]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_models_and_transforms_work():
    vision = _torchvision.torchvision()
    logits = vision.models.resnet18(weights=None, num_classes=2).eval()(torch.zeros(1, 3, 32, 32))
    assert logits.shape == (1, 2)
    assert vision.transforms.functional.hflip(torch.arange(2)[None, None]).tolist() == [[[1, 0]]]
    assert _torchvision.torchvision() is vision


def test_missing_ops_are_declared_and_the_import_tried_again(tmp_path):
    """A torchvision whose compiled ops cannot load fails exactly like this."""
    done = run_beside("torch.library.register_fake('torchvision::nms')(lambda *a: a)\n", tmp_path)
    assert done.stdout.strip() == "torchvision", done.stderr


def test_other_failures_are_not_hidden(tmp_path):
    done = run_beside("raise RuntimeError('out of luck')\n", tmp_path)
    assert done.returncode != 0
    assert "out of luck" in done.stderr
