"""How well and how fast the bundled encoder finds images in the generator's latent space.

`python benchmarks/encoder.py [DATA [SPLIT]]`: images of a prepared data set (its test split unless told), or without
one 60 samples of the generator. Prints the share whose class the classifier keeps, the mean absolute difference in
parts of the full range, and seconds an image: without a step, as usual (steps only where the class is not kept), and
with 8 steps for all. Writes outputs/bench/encoder.json.
"""

import sys
import time

import torch
from _plain import write
from tqdm import tqdm

import histoxplain as hx

BUNDLE, SAMPLES, BATCH = "lung-histology", 60, 16
WAYS = {"encoder alone": {"steps": 0}, "as usual": {}, "8 steps": {"steps": 8}}


def pictures(bundle, arguments):
    """Images `(N, C, R, R)` in `[-1, 1]`."""
    if arguments:
        source = hx.data.open_source(arguments[0], arguments[1] if len(arguments) > 1 else "test")
        return torch.stack([source[i].image for i in range(len(source))])
    samples = hx.explain.generate_pairs(bundle, SAMPLES // 6)
    return hx.explain.quantised(hx.explain.draw(bundle.generator, samples.ws))


def inverted(bundle, x, **options):
    """Class kept of each class, difference and seconds an image."""
    kept, apart, seconds, classes = [], [], 0.0, []
    for some in tqdm(x.split(BATCH), unit="batch"):
        start = time.perf_counter()
        found = hx.explain.invert(bundle, some, **options)
        seconds += time.perf_counter() - start
        with torch.no_grad(), hx.explain.evaluating(bundle.classifier):
            classes.append(bundle.classifier(some).argmax(1))
        kept.append(found.agrees)
        apart.append(found.l1)
    kept, apart, classes = torch.cat(kept).float(), torch.cat(apart), torch.cat(classes)
    each = {name: kept[classes == k].mean().item() for k, name in enumerate(bundle.class_names)}
    return {
        "images": len(x),
        "kept": kept.mean().item(),
        "l1": apart.mean().item(),
        "seconds": seconds / len(x),
        **each,
    }


@torch.no_grad()
def one_image(bundle, x):
    """Seconds that one image takes, the best of 20: its latents, and with detail and reconstruction."""
    G, E = bundle.generator, bundle.encoder
    jobs = {"latents": lambda: E(x[:1]), "latents, detail and image": lambda: hx.models.encode(G, E, x[:1])}
    best = dict.fromkeys(jobs, float("inf"))
    with hx.explain.evaluating(G, E):
        for _ in range(20):
            for name, job in jobs.items():
                start = time.perf_counter()
                job()
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main():
    """Measure and print."""
    bundle = hx.load_bundle(BUNDLE)
    x = pictures(bundle, sys.argv[1:])
    hx.explain.invert(bundle, x[:BATCH])  # kernels built, memory claimed
    rows = []
    for name, options in WAYS.items():
        row = {"how": name} | inverted(bundle, x, **options)
        rows.append(row)
        each = ", ".join(f"{k} {row[k]:.3f}" for k in bundle.class_names)
        print(
            f"{name:14} {row['images']} images: class kept {row['kept']:.3f} ({each}), "
            f"difference {row['l1']:.4f}, {row['seconds']:.3f} s an image"
        )
    best = one_image(bundle, x)
    print("one image:", ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in best.items()))
    write("encoder", [*rows, {"how": "one image", **best}])


if __name__ == "__main__":
    main()
