from io import BytesIO

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from histoxplain import InputError
from histoxplain.widgets import picture
from histoxplain.widgets.picture import beside, enlarged, jpeg, png

CHECKER = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_sharp_pixels_become_squares(channels, mode):
    shown = picture(CHECKER.expand(channels, 2, 2), side=8, smooth=False)
    assert shown.mode == mode
    assert np.array(shown.convert("L"))[:4].tolist() == [[0] * 4 + [255] * 4] * 4


def test_smooth_is_smooth():
    values = set(np.array(picture(CHECKER[None], side=8)).ravel().tolist())
    assert len(values) > 4


def test_values_beyond_the_range_are_clipped():
    assert np.array(picture(torch.full((1, 1, 1), 7.0), side=1)).item() == 255


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (1, 3, 8, 8)])
def test_refuses_what_is_no_single_image(shape):
    with pytest.raises(InputError, match="single image"):
        picture(torch.zeros(shape))


def test_refuses_no_size():
    with pytest.raises(InputError, match="`side` must be at least 1"):
        picture(torch.zeros(3, 8, 8), side=0)


def test_bytes_are_pictures():
    shown = enlarged(np.zeros((4, 8, 3), np.uint8), side=16)
    assert Image.open(BytesIO(jpeg(shown))).format == "JPEG"
    figure = png(Figure(figsize=(1, 1)), dpi=50)
    assert Image.open(BytesIO(figure)).size == (50, 50)
    both = {"a figure": Image.open(BytesIO(figure)), "pixels": shown}
    assert Image.open(BytesIO(beside(both, gap=4))).size == (50 + 4 + 16, 50 + 20)
