"""Images a second of the interactive generator against the textbook formulation, in one run.

The first table is the generator of 256 px with up to 512 feature maps, one image at a time: all of it, one style of a
late layer, and the share that is spent convolving at the rate that a single large convolution reaches. The second draws
batches. Prints both and writes outputs/bench/inference.json.
"""

from functools import partial

import torch
import torch.nn.functional as F
from _plain import plain, seconds, write

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.models import Generator, GeneratorConfig

LARGE = {"resolution": 256, "channel_base": 16384, "channel_max": 512}
SMALL = {"resolution": 64, "channel_base": 4096, "channel_max": 128}
LATE = "b256.conv1"


def make(shape):
    """A generator that was never trained: speed does not depend on its weights."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(mapping_layers=2, **shape)).eval()
    generator.synthesis.start_noise(0.1)
    return generator


def operations(generator):
    """Multiplications and additions of one image's convolutions."""
    total, config = 0, generator.config
    for r in config.resolutions:
        out, into = config.width(r), config.width(max(r // 2, 4))
        total += 18 * out * out * r * r + 2 * out * config.channels * r * r
        total += 18 * out * into * (r // 2) ** 2 if r > 4 else 0
    return total


def large_convolution(dtype):
    """A 3x3 convolution of 128 feature maps at 64 px, 16 images, which oneDNN is best at; and its operations."""
    x = torch.randn(16, 128, 64, 64).to(dtype).contiguous(memory_format=torch.channels_last)
    w = torch.randn(128, 128, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    return lambda: F.conv2d(x, w, padding=1), 16 * 18 * 128 * 128 * 64 * 64


def one_image(precisions):
    """The first table's rows."""
    generator = make(LARGE)
    ws = generator.mapping(torch.randn(1, generator.z_dim), None)
    s = generator.styles(ws)
    runs, work = {"plain": by_the_book(generator, ws)}, {}
    for precision in precisions:
        drawn, late = generator.interactive(precision, keep=False), generator.interactive(precision)
        runs[precision] = partial(drawn.synthesis, ws)
        runs[f"{precision}, late style"] = changing(late, s)
        runs[f"{precision}, one convolution"], work[precision] = large_convolution(getattr(torch, precision))
    took = seconds(runs)
    rows = []
    for precision in precisions:
        rate = operations(generator) / took[precision]
        rows.append(
            {
                "resolution": 256,
                "batch": 1,
                "precision": precision,
                "native": generator.interactive(precision).native,
                "plain_per_second": 1 / took["plain"],
                "images_per_second": 1 / took[precision],
                "times_plain": took["plain"] / took[precision],
                "late_style_times_full": took[precision] / took[f"{precision}, late style"],
                "share_of_convolution_rate": rate * took[f"{precision}, one convolution"] / work[precision],
            }
        )
    return rows


def by_the_book(generator, ws):
    """A plain pass; contexts are entered at every call, which takes microseconds."""

    def run():
        with plain():
            generator.synthesis(ws)

    return run


def changing(drawn, s):
    """A pass in which one late style differs from the last pass."""
    drawn.synthesis_from_styles(s)
    state = {"sign": 1}

    def run():
        state["sign"] = -state["sign"]
        drawn.synthesis_from_styles({**s, LATE: s[LATE] + state["sign"]})

    return run


def batches(precisions):
    """The second table's rows."""
    rows = []
    for shape, batch in ((SMALL, 1), (SMALL, 16), (LARGE, 8)):
        generator = make(shape)
        ws = generator.mapping(torch.randn(batch, generator.z_dim), None)
        runs = {"plain": by_the_book(generator, ws)}
        for precision in precisions:
            drawn = generator.interactive(precision, keep=False)
            runs[precision] = partial(drawn.synthesis, ws)
        took = seconds(runs, turns=3)
        for precision in precisions:
            rows.append(
                {
                    "resolution": shape["resolution"],
                    "batch": batch,
                    "precision": precision,
                    "plain_per_second": batch / took["plain"],
                    "images_per_second": batch / took[precision],
                    "times_plain": took["plain"] / took[precision],
                }
            )
    return rows


@torch.no_grad()
def main():
    """Measure and print."""
    precisions = ["float32", "bfloat16"] if cpu_has_fast_bfloat16() else ["float32"]
    single, several = one_image(precisions), batches(precisions)
    print(f"{'256 px, one image':<22}{'images/s':>9}{'x plain':>9}{'late style':>12}{'of one convolution':>20}")
    print(f"{'plain float32':<22}{single[0]['plain_per_second']:>9.1f}")
    for row in single:
        share, late = f"{row['share_of_convolution_rate']:.0%}", f"{row['late_style_times_full']:.1f} x"
        print(f"{row['precision']:<22}{row['images_per_second']:>9.1f}{row['times_plain']:>9.1f}{late:>12}{share:>20}")
    for row in several:
        what = f"{row['resolution']} px, batch {row['batch']}, {row['precision']}"
        rates = f"{row['plain_per_second']:.1f}/s -> {row['images_per_second']:.1f}/s ({row['times_plain']:.1f}x)"
        print(f"{what}: {rates}")
    write("inference", single + several)


if __name__ == "__main__":
    main()
