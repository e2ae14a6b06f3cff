import numpy as np
import pytest
from PIL import Image


def picture(seed=0, size=(24, 20), mode="RGB"):
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def folder(tmp_path):
    """Two classes of six images each, three groups a class; equal file names in both."""
    root = tmp_path / "source"
    for number, name in enumerate(["benign", "malignant"]):
        (root / name).mkdir(parents=True)
        for i in range(6):
            picture(10 * number + i).save(root / name / f"slide{i // 2}_{i}.png")
    return root
