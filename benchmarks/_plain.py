"""The textbook formulation that the other files here measure against, and how they measure.

Plain means: float32, contiguous, one grouped convolution a layer whose weights are modulated for each image, filters
and activations as operations of torch one after another.
"""

import json
import time
from contextlib import ExitStack, contextmanager
from math import sqrt
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F

from histoxplain.models.stylegan2.layers import Convolution, FullyConnected, SynthesisLayer, ToRGB
from histoxplain.ops import reference_only, upfirdn2d


@contextmanager
def plain():
    """Generators and discriminators in float32 compute by the textbook inside the block."""
    layers = {SynthesisLayer: synthesis_layer, ToRGB: to_rgb, Convolution: convolution, FullyConnected: fully_connected}
    with ExitStack() as stack:
        stack.enter_context(reference_only())
        for layer, forward in layers.items():
            stack.enter_context(patch.object(layer, "forward", forward))
        yield


def synthesis_layer(self, x, style, noise_mode, generator=None, gain=1):
    """Modulate, convolve, filter, add noise and bias, bend."""
    x = modulated_convolution(x, self.weight, style, self.up, self.resample_filter)
    noise = self.noise(len(x), noise_mode, generator)
    x = x if noise is None else x + noise
    return activated(x, self.bias, "lrelu", sqrt(2) * gain, None if self.clamp is None else self.clamp * gain)


def to_rgb(self, x, style):
    """Modulate and convolve without normalising."""
    x = modulated_convolution(x, self.weight, style * self.weight_gain, demodulate=False)
    return activated(x, self.bias, "linear", 1, self.clamp)


def convolution(self, x, gain=1):
    """Filter, convolve and bend."""
    x, w, pad = x.contiguous(), self.weight * self.weight_gain, self.padding
    if self.up == 2:
        x = upfirdn2d(F.conv2d(x, w, padding=pad), self.resample_filter, up=2, padding=(2, 1, 2, 1), gain=4)
    elif self.down == 2:
        around = (pad + 1,) * 4
        x = F.conv2d(upfirdn2d(x, self.resample_filter, padding=around), w, stride=2)
    else:
        x = F.conv2d(x, w, padding=pad)
    clamp = None if self.clamp is None else self.clamp * gain
    return activated(x, self.bias, self.act, self.act_gain * gain, clamp)


def fully_connected(self, x):
    """Multiply, add and bend."""
    y = torch.addmm(self.bias * self.bias_gain, x, self.weight.T, alpha=self.weight_gain)
    return y if self.act == "linear" else F.leaky_relu(y, 0.2) * sqrt(2)


def modulated_convolution(x, weight, styles, up=1, f=None, demodulate=True):
    """Every image has a weight of its own."""
    n, into, height, width = x.shape
    w = weight[None] * styles[:, None, :, None, None]
    if demodulate:
        w = w * (w.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, n * into, height, width)
    if up == 2:
        w = w.transpose(1, 2).reshape(n * into, weight.shape[0], *weight.shape[2:])
        x = upfirdn2d(F.conv_transpose2d(x, w, stride=2, groups=n), f, padding=1, gain=4)
    else:
        x = F.conv2d(x, w.reshape(-1, *w.shape[2:]), padding=weight.shape[-1] // 2, groups=n)
    return x.reshape(n, -1, *x.shape[2:])


def activated(x, bias, act, gain, clamp):
    """Bias, activation, gain and clamp, one after another."""
    x = x if bias is None else x + bias[:, None, None]
    x = (F.leaky_relu(x, 0.2) if act == "lrelu" else x) * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def seconds(runs, turns=7, least=0.2):
    """Of one call of each of several functions, the medians; they take turns, so that a busy moment hits them all."""
    times = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(turns):
        for name, run in runs.items():
            began, calls = time.perf_counter(), 0
            while calls == 0 or time.perf_counter() - began < least:
                run()
                calls += 1
            times[name].append((time.perf_counter() - began) / calls)
    return {name: sorted(found)[turns // 2] for name, found in times.items()}


def write(name, rows):
    """Write outputs/bench/NAME.json, with what it was measured on."""
    out = Path("outputs/bench") / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    able = sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True)
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads(), "capabilities": able}
    out.write_text(json.dumps({**machine, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    print(f"-> {out}")
