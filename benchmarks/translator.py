"""How long the bundled translator of chest X-rays takes an image: one at a time, and in batches of 8.

The median of many passes, in milliseconds; writes outputs/bench/translator.json.
"""

import time
from statistics import median

import torch
from _plain import write

import histoxplain as hx

PASSES = 100


@torch.no_grad()
def milliseconds(translator, batch):
    """Median time an image of passes with so many images, after a few that do not count."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(batch, translator.channels, translator.resolution, translator.resolution, generator=rng) * 2 - 1
    target = torch.arange(batch) % len(translator.class_names)
    taken = []
    for _ in range(PASSES // batch + 10):
        began = time.perf_counter()
        translator(x, target)
        taken.append((time.perf_counter() - began) * 1000 / batch)
    return median(taken[10:])


if __name__ == "__main__":
    rows = []
    for precision in ("float32", "auto"):
        translator = hx.load_bundle("chest-xray", device="cpu", precision=precision).translator
        for batch in (1, 8):
            row = {"precision": str(translator.dtype).removeprefix("torch."), "batch": batch}
            rows.append(row | {"milliseconds_an_image": milliseconds(translator, batch)})
            print(f"{row['precision']:9} batch {batch}: {rows[-1]['milliseconds_an_image']:.1f} ms an image")
    write("translator", rows)
