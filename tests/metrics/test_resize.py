import numpy as np
import torch
from PIL import Image

from histoxplain.metrics.resize import bicubic, tensorflow_bilinear


def test_tensorflow_by_hand():
    row = torch.tensor([10.0, 20.0, 40.0])
    x = row.expand(1, 2, 3, 3)
    # places 0, 0.5, 1, 1.5, 2, 2.5; beyond the last pixel there is only the last pixel
    expected = torch.tensor([10.0, 15.0, 20.0, 30.0, 40.0, 40.0])
    assert torch.equal(tensorflow_bilinear(x, 6), expected.expand(1, 2, 6, 6))
    assert torch.equal(tensorflow_bilinear(x.mT, 6), expected.expand(1, 2, 6, 6).mT)


def test_tensorflow_takes_single_pixels_where_it_shrinks(rng):
    x = torch.rand(1, 1, 12, 12, generator=rng)
    assert torch.equal(tensorflow_bilinear(x, 4), x[..., ::3, ::3])
    assert torch.equal(tensorflow_bilinear(x, 12), x)


def test_bicubic_is_pillows(rng):
    for old in (16, 64, 400):
        x = torch.randint(0, 256, (1, 1, old, old), generator=rng).float()
        image = Image.fromarray(x[0, 0].numpy()).resize((299, 299), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(bicubic(x, 299)[0, 0], np.asarray(image).clip(0, 255), atol=0.01)
