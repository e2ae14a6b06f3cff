"""What it is worth to keep the memory that tensors free: images a second of the generator with and without, in turns.

The setting holds for a whole process, so each figure is measured in a process of its own. Prints the ratios and writes
outputs/bench/freed_memory.json.
"""

import subprocess
import sys
import time

import torch

from histoxplain._malloc import keep_freed_memory
from histoxplain.models import Generator, GeneratorConfig

CASES = ((64, 32, True), (128, 32, True), (128, 1, False))
TURNS = 3
CALLS = 5


def seconds(resolution, batch, train):
    """Of one call, the median."""
    generator = Generator(GeneratorConfig(resolution=resolution, channel_base=4096, channel_max=128, mapping_layers=2))
    generator.set_precision("auto")
    ws = torch.randn(batch, generator.num_ws, generator.w_dim)
    times = []
    for _ in range(CALLS + 1):
        began = time.perf_counter()
        with torch.set_grad_enabled(train):
            images = generator.synthesis(ws)
            if train:
                images.square().mean().backward()
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[CALLS // 2]


def main():
    """Measure every case in alternating processes, and take the medians."""
    from _plain import write  # here, as the processes that are measured do without

    rows = []
    for case in CASES:
        found = {"keep": [], "leave": []}
        for _ in range(TURNS):
            for how in found:
                command = [sys.executable, __file__, how, *map(str, map(int, case))]
                found[how].append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        keep, leave = (sorted(found[how])[TURNS // 2] for how in ("keep", "leave"))
        resolution, batch, train = case
        what = "forward+backward" if train else "forward"
        rates = f"{batch / leave:.1f}/s -> {batch / keep:.1f}/s ({leave / keep:.2f}x)"
        print(f"{resolution} px, batch {batch}, {what}: {rates}")
        rows.append({"resolution": resolution, "batch": batch, "training": train, "keep": keep, "leave": leave})
    write("freed_memory", rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        if sys.argv[1] == "keep":
            keep_freed_memory()
        print(seconds(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"))
    else:
        main()
