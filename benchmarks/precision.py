"""What bfloat16 costs: the bundled generator's images against those in float32, and the classifier's opinion of both.

Draws 1,000 samples, the classes in turn, with the interactive generator in both types. Prints how far their pixels lie
apart and how many change class, and writes outputs/bench/precision.json.
"""

import torch
from _plain import write
from tqdm import tqdm

import histoxplain as hx
from histoxplain.data import to_uint8, to_unit

COUNT, BATCH = 1000, 20


@torch.no_grad()
def main():
    """Measure and print."""
    bundle = hx.load_bundle("lung-histology")
    generator, classes = bundle.generator, len(bundle.class_names)
    exact, fast = (generator.interactive(precision, keep=False) for precision in ("float32", "bfloat16"))
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(COUNT, generator.z_dim, generator=rng)
    c = torch.eye(classes)[torch.arange(COUNT) % classes]
    apart, agree = [], []
    for some, labels in tqdm(list(zip(z.split(BATCH), c.split(BATCH))), unit="batch"):
        pair = [to_uint8(drawn(some, labels)) for drawn in (exact, fast)]
        apart.append((pair[0].float() - pair[1].float()).abs().mean((1, 2, 3)))
        opinions = [bundle.classifier(to_unit(images)).argmax(1) for images in pair]
        agree.append(opinions[0] == opinions[1])
    apart, agree = torch.cat(apart), torch.cat(agree)
    row = {
        "samples": COUNT,
        "mean_difference_of_255": apart.mean().item(),
        "largest_mean_difference_of_255": apart.max().item(),
        "same_class": agree.float().mean().item(),
        "native": fast.native,
    }
    print(f"pixels: {row['mean_difference_of_255']:.2f} of 255 apart (worst image {apart.max():.2f})")
    print(f"class unchanged: {agree.sum()} of {COUNT}")
    write("precision", [row])


if __name__ == "__main__":
    main()
