"""Time and peak memory of drawing against resolution and batch: the interactive generator beside the textbook.

Every figure comes from a process of its own: seconds of a pass (the median) and the most memory the process held beyond
what it held with the generator loaded. Prints a table, writes outputs/bench/resolutions.json and resolutions.png.
"""

import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import torch
from _plain import plain, write
from tqdm import tqdm

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.models import Generator, GeneratorConfig

RESOLUTIONS, BATCHES = (32, 64, 128, 256, 512), (1, 8, 32)
PASSES, PATIENCE, LONG = 5, 1.5, 10.0  # seconds: a first pass that takes longer is the only one


def resident(most):
    """MiB of this process, now or at most."""
    key = "VmHWM:" if most else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


@torch.no_grad()
def measure(how, resolution, batch):
    """Seconds of a pass and MiB, of one way to draw."""
    torch.manual_seed(0)
    shape = {"resolution": resolution, "channel_base": 16384, "channel_max": 512}
    generator = Generator(GeneratorConfig(mapping_layers=2, **shape)).eval()
    ws = generator.mapping(torch.randn(batch, generator.z_dim), None)
    before, times = resident(most=False), []
    drawn = generator if how == "plain" else generator.interactive(how, keep=False)
    while len(times) < PASSES and sum(times) < (LONG if len(times) == 1 else PATIENCE):
        began = time.perf_counter()
        if how == "plain":
            with plain():
                drawn.synthesis(ws)
        else:
            drawn.synthesis(ws)
        times.append(time.perf_counter() - began)
    times = times[1:] or times  # the first pass finds its memory
    return {"seconds": sorted(times)[len(times) // 2], "mebibytes": resident(most=True) - before}


def main():
    """Measure every case in a process of its own."""
    ways = ["plain", "float32", *(["bfloat16"] if cpu_has_fast_bfloat16() else [])]
    rows = []
    for resolution, batch, how in tqdm(list(product(RESOLUTIONS, BATCHES, ways)), unit="case"):
        command = [sys.executable, __file__, how, str(resolution), str(batch)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        rows.append({"resolution": resolution, "batch": batch, "how": how, **found})
    print(f"{'px':>4}{'batch':>6}" + "".join(f"{way + ': images/s':>20}{'MiB':>7}" for way in ways))
    for resolution, batch in product(RESOLUTIONS, BATCHES):
        line = [row for row in rows if (row["resolution"], row["batch"]) == (resolution, batch)]
        figures = (f"{batch / row['seconds']:>20.1f}{row['mebibytes']:>7.0f}" for row in line)
        print(f"{resolution:>4}{batch:>6}" + "".join(figures))
    write("resolutions", rows)
    draw(rows, ways)


def draw(rows, ways):
    """Images a second and memory against resolution, one line a way and batch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for way, colour in zip(ways, ("0.45", "tab:blue", "tab:red")):
        for batch, style in zip(BATCHES, ("-", "--", ":")):
            line = [row for row in rows if row["how"] == way and row["batch"] == batch]
            name = f"{'textbook, float32' if way == 'plain' else way}, batch {batch}"
            sides = [row["resolution"] for row in line]
            axes[0].plot(sides, [batch / row["seconds"] for row in line], style, color=colour, label=name, marker=".")
            axes[1].plot(sides, [row["mebibytes"] for row in line], style, color=colour, marker=".")
    for axis, what in zip(axes, ("images a second", "peak memory beyond the generator, MiB")):
        axis.set(xscale="log", yscale="log", xlabel="resolution, px", ylabel=what)
        axis.set_xticks(RESOLUTIONS, RESOLUTIONS)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig("outputs/bench/resolutions.png", dpi=120)
    print("-> outputs/bench/resolutions.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
