"""Does the classifier of chest X-rays look at borders, where letters, tubes and collimators are? What hiding them does.

python benchmarks/borders.py cxr128.lmdb    # made by `histoxplain prepare`; its test split is used

Hides a frame along all four edges, a central square of as many pixels for comparison, and everything but the frame.
What is hidden shows what is left of the image at 8 x 8 pixels, or the image's mean. Prints how many change class,
and the balanced accuracy, and writes outputs/bench/borders.json.
"""

import sys

import torch
from _plain import write
from torch import Tensor
from tqdm import tqdm

import histoxplain as hx
from histoxplain.data import open_source
from histoxplain.explain.attribution.scores import baseline_of

WIDTHS = (4, 8, 16)
BATCH = 32


def frame(side: int, width: int) -> Tensor:
    """Which pixels lie within `width` of an edge, `(side, side)`."""
    away = torch.minimum(torch.arange(side), torch.arange(side).flip(0))
    return torch.minimum(away[:, None], away) < width


def centre(side: int, count: int) -> Tensor:
    """A central square of about so many pixels, `(side, side)`."""
    return ~frame(side, round((side - count**0.5) / 2))


def hidings(side: int) -> dict[str, Tensor]:
    """What to hide, by name; booleans `(side, side)`."""
    places = {"nothing": torch.zeros(side, side, dtype=torch.bool)}
    for width in WIDTHS:
        edge = frame(side, width)
        places |= {f"frame of {width} px": edge, f"centre, as many as {width} px": centre(side, int(edge.sum()))}
        places[f"all but frame of {width} px"] = ~edge
    return places


@torch.no_grad()
def opinions(classifier, source, hidden, baseline):
    """The classifier's opinion of every image, `(N,)`, with some pixels hidden."""
    found = []
    for start in range(0, len(source), BATCH):
        x = torch.stack([source[i].image for i in range(start, min(start + BATCH, len(source)))])
        found.append(classifier(torch.where(hidden, baseline_of(x, baseline), x)).argmax(1))
    return torch.cat(found)


def measure(data: str) -> list[dict]:
    """A row for everything that was hidden, in two ways."""
    bundle, source = hx.load_bundle("chest-xray", device="cpu"), open_source(data, split="test")
    labels, rows, before = torch.as_tensor(source.labels), [], None
    jobs = [(name, place, way) for way in ("blur", "mean") for name, place in hidings(bundle.resolution).items()]
    for name, place, way in tqdm(jobs, disable=None):
        found = opinions(bundle.classifier.eval(), source, place, way)
        before = found if before is None else before
        recalls = [(found[labels == k] == k).float().mean().item() for k in labels.unique().tolist()]
        row = {"hidden": name, "shown instead": way, "share": place.float().mean().item(), "images": len(found)}
        row["changed"] = (found != before).float().mean().item()
        rows.append(row | {"balanced_accuracy": sum(recalls) / len(recalls)})
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("borders: needs the prepared chest X-rays: python benchmarks/borders.py cxr128.lmdb")
        sys.exit()
    table = measure(sys.argv[1])
    for row in table:
        words = f"{row['hidden']:28} {row['shown instead']:5} {100 * row['share']:3.0f} % of the pixels"
        print(f"{words}: class changes {row['changed']:.3f}, balanced accuracy {row['balanced_accuracy']:.3f}")
    write("borders", table)
