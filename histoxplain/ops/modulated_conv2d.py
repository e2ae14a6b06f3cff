"""The convolution of StyleGAN2: weights scaled by a style, then normalised."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.ops._library import compose
from histoxplain.ops.conv2d_resample import resampled_layer
from histoxplain.ops.demodulation import demodulation
from histoxplain.ops.upfirdn2d import Padding, expand_padding


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
) -> Tensor:
    """Modulated convolution (Karras et al., 2020, section 2.2) with one weight shared by the batch.

    Scaling the weight's input channels by the style and normalising its output channels equals scaling the
    activations before and after a shared convolution, which CPUs compute many times faster than a grouped one.

    Args:
        x: activations, shape `(N, I, H, W)`, float32 or bfloat16; the convolution runs in this type.
        weight: shape `(O, I, kh, kw)`.
        styles: scale of each input channel, shape `(N, I)`.
        noise: added to the result, broadcastable to `(N, 1, H', W')`.
        up, down, padding, resample_filter, flip_weight: see `conv2d_resample`.
        demodulate: normalise each output channel's weight to length 1.

    Returns:
        `(N, O, H', W')`.

    Raises:
        InputError: if `styles` is not `(N, I)`.

    Example:
        >>> y = modulated_conv2d(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 5.0), torch.tensor([[3.0]]))
        >>> round(y.item(), 4)
        1.0
    """
    return modulated_layer(x, weight, styles, noise, up, down, padding, resample_filter, demodulate, flip_weight)


def modulated_layer(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    b: Tensor | None = None,
    act: str = "linear",
    gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """`bias_act(modulated_conv2d(...), b, 1, act, None, gain, clamp)`, with all that follows the convolution in one.

    Example:
        >>> modulated_layer(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1), b=torch.ones(1)).item()
        2.0
    """
    check(styles.shape == x.shape[:2], "styles", f"have shape {tuple(x.shape[:2])}", tuple(styles.shape))
    scale = demodulation(weight, styles) if demodulate else None
    if noise is not None:
        x0, x1, y0, y1 = expand_padding(padding)
        height = (x.shape[2] * up + y0 + y1 - weight.shape[2] + 1) // down
        width = (x.shape[3] * up + x0 + x1 - weight.shape[3] + 1) // down
        if noise.shape[-2:] != (height, width) or noise.ndim == 3:
            noise = noise.expand(torch.broadcast_shapes(noise.shape, (1, 1, height, width)))
    after = {"scale": scale, "noise": noise, "b": b, "act": act, "gain": gain, "clamp": clamp}
    return resampled_layer(x, weight, resample_filter, up, down, padding, flip_weight, style=styles, **after)


compose(
    "modulated_conv2d(Tensor x, Tensor weight, Tensor styles, Tensor? noise=None, int up=1, int down=1, "
    "int[4] padding=0, Tensor? resample_filter=None, bool demodulate=True, bool flip_weight=True) -> Tensor",
    modulated_conv2d,
)
