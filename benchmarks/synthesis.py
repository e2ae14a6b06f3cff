"""Images a second of the generator, and seconds a training step, against the textbook formulation in the same run.

The textbook formulation is one grouped convolution per layer, in float32, whose weights are modulated for each image.
Prints a table of ratios and writes outputs/bench/synthesis.json.
"""

import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.models import Generator, GeneratorConfig
from histoxplain.models.stylegan2 import layers
from histoxplain.ops import upfirdn2d

SIZES = ((64, 4096, 128), (128, 4096, 128), (256, 16384, 512))
SECONDS = 3.0


def grouped_convolution(x, weight, styles, noise=None, up=1, down=1, padding=0, resample_filter=None, demodulate=True,
                        flip_weight=True):  # fmt: skip
    """Modulated convolution by the book: every image has a weight of its own."""
    n, into, height, width = x.shape
    w = weight[None] * styles[:, None, :, None, None]
    if demodulate:
        w = w * (w.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, n * into, height, width)
    if up == 2:
        w = w.transpose(1, 2).reshape(n * into, weight.shape[0], *weight.shape[2:])
        x = F.conv_transpose2d(x, w, stride=2, groups=n)
        x = upfirdn2d(x, resample_filter, padding=1, gain=4)
    else:
        x = F.conv2d(x, w.reshape(-1, *w.shape[2:]), padding=padding, groups=n)
    x = x.reshape(n, -1, *x.shape[2:])
    return x if noise is None else x + noise


def rate(run, batch):
    """Images a second, the median of repeated calls."""
    run()
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return batch / sorted(times)[len(times) // 2]


def measure(generator, batch, train):
    """Images a second of a forward pass, or of a forward and a backward one."""
    ws = torch.randn(batch, generator.num_ws, generator.w_dim)

    def forward():
        with torch.no_grad():
            generator.synthesis(ws)

    def step():
        generator.zero_grad()
        generator.synthesis(ws).square().mean().backward()

    return rate(step if train else forward, batch)


def main():
    """Measure every size both ways."""
    own, rows = layers.modulated_conv2d, []
    for resolution, base, most in SIZES:
        config = GeneratorConfig(resolution=resolution, channel_base=base, channel_max=most, mapping_layers=2)
        generator = Generator(config)
        for batch, train in ((1, False), (16, False), (16, True)):
            if resolution == 256 and train:
                continue
            layers.modulated_conv2d = grouped_convolution
            baseline = measure(generator.set_precision("float32"), batch, train)
            layers.modulated_conv2d = own
            row = {"resolution": resolution, "batch": batch, "training": train, "grouped_float32": baseline}
            row["shared_float32"] = measure(generator, batch, train)
            if cpu_has_fast_bfloat16():
                row["shared_bfloat16"] = measure(generator.set_precision("bfloat16"), batch, train)
            rows.append(row)
            show(row)
    out = Path("outputs/bench/synthesis.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"threads": torch.get_num_threads(), "rows": rows}, indent=2) + "\n")
    print(f"-> {out}")


def show(row):
    """One line: images a second and how many times the baseline's."""
    base = row["grouped_float32"]
    figures = (f"{name} {row[name]:.1f}/s ({row[name] / base:.1f}x)" for name in row if name.startswith("shared"))
    what = "forward+backward" if row["training"] else "forward"
    print(f"{row['resolution']} px, batch {row['batch']}, {what}: grouped {base:.1f}/s,", ", ".join(figures))


if __name__ == "__main__":
    main()
