"""AttFind by definition against its fast search, on a small generator: time, images drawn, and whether they agree.

By definition means: every coordinate up and down in every image, each image drawn whole by the generator, in batches as
large as those of the fast search. The weights are random, so that many coordinates matter about equally, which is the
hard case for a search that leaves any out.
"""

import time
from types import SimpleNamespace

import torch
from _plain import write
from torch import nn

from histoxplain.explain import AttFind
from histoxplain.models import Generator, GeneratorConfig

IMAGES, COUNT, CLASSES = 48, 10, ("a", "b", "c")


class Looker(nn.Module):
    """A small random convolutional classifier."""

    def __init__(self):
        super().__init__()
        layers = nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, len(CLASSES)))
        for weight in self.net.parameters():
            nn.init.normal_(weight, 0, max(1, weight[0].numel()) ** -0.5)

    def forward(self, x):
        """Images to logits."""
        return 4 * self.net(x)


def bundle(seed):
    """A generator with 768 style channels and a classifier."""
    torch.manual_seed(seed)
    sizes = {"resolution": 8, "z_dim": 64, "w_dim": 64, "c_dim": 3, "channel_base": 2048, "channel_max": 256}
    G = Generator(GeneratorConfig(**sizes, mapping_layers=2)).eval()
    return SimpleNamespace(generator=G, classifier=Looker().eval(), class_names=CLASSES, name="random")


def measure(ways):
    """One run of each way to search: seconds, and what was found."""
    rows, found = [], {}
    for name, way in ways.items():
        began = time.perf_counter()
        found[name] = way()
        row = {"search": name, "seconds": time.perf_counter() - began} | found[name].settings
        row["top_10_shared"] = len(set(found[name].names) & set(found["by definition"].names))
        row["times_faster"] = rows[0]["seconds"] / row["seconds"] if rows else 1.0
        rows.append(row)
        print(
            f"{name:15} {row['seconds']:7.2f} s  {row['images_drawn']:6d} images  {row['times_faster']:6.1f}x"
            f"  {row['top_10_shared']} of the top {COUNT}"
        )
    return rows


if __name__ == "__main__":
    some = bundle(0)
    AttFind(bundle(1), images=8, pool=4).find("b")  # builds the kernels, if they are not there yet
    write(
        "attfind",
        measure(
            {
                "by definition": lambda: AttFind(some, images=IMAGES).find("b", count=COUNT, exhaustive=True),
                "fast": lambda: AttFind(some, images=IMAGES).find("b", count=COUNT),
                "fast, black box": lambda: AttFind(some, images=IMAGES, gradients=False).find("b", count=COUNT),
            }
        ),
    )
