"""Classify images into a CSV file: id, label, group, predicted, prob_<class>..."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from histoxplain._checks import InputError, check, check_at_least, check_exists

if TYPE_CHECKING:
    from histoxplain.data import Case, Source
    from histoxplain.models import Classifier


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain predict`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Image, folder of images (one sub-folder per class, where the classes are known), or LMDB."""
    out: Path
    """The CSV file to write."""
    bundle: str | None = None
    """Bundle with the classifier: a name under checkpoints/, or its folder."""
    classifier: Path | None = None
    """Instead of a bundle: a classifier.safetensors."""
    split: Literal["train", "validation", "test"] | None = None
    """Only this split of an LMDB."""
    batch: int = 32
    """Images at once."""
    device: str = "auto"
    """`auto` is CUDA when there, else the CPU."""

    def __call__(self) -> None:
        """Classify, and say how many images were left out."""
        from histoxplain._ranks import join
        from histoxplain.data import open_source

        join()
        check_at_least("batch", self.batch, 1)
        check_exists("data", self.data)
        classifier = self.load()
        source = open_source(self.data, self.split)
        written, skipped = write_predictions(self.out, source, classifier, self.batch, self.device)
        for name, reason in skipped:
            print(f"histoxplain: left out {name}: {reason}", file=sys.stderr)
        print(f"{written} images -> {self.out}" + (f"; {len(skipped)} left out" if skipped else ""))

    def load(self) -> Classifier:
        """The classifier that was asked for, from a bundle or a file."""
        from histoxplain import models

        given = sum(option is not None for option in (self.bundle, self.classifier))
        check(given == 1, "classifier", "be given either by --bundle or by --classifier", f"{given} of them")
        if self.classifier is not None:
            return models.load_classifier(self.classifier)
        return models.load_bundle(self.bundle).classifier


def write_predictions(
    path: Path, source: Source, classifier: Classifier, batch: int = 32, device: str = "auto"
) -> tuple[int, list[tuple[str, str]]]:
    """Classify every case of a source into a CSV file, which appears whole or not at all.

    Under torchrun the processes share the batches, and the first one writes.

    Args:
        path: the CSV file.
        source: the cases; unreadable images are skipped.
        classifier: from a bundle or a file.
        batch: images at once.
        device: where to compute.

    Returns:
        How many images were written, and (name, reason) of those that were not; (0, []) in processes that do not write.

    Raises:
        InputError: if no image could be read.
    """
    from histoxplain._atomic import replacing
    from histoxplain._device import resolve_device
    from histoxplain._ranks import rank

    skipped: list[tuple[str, str]] = []
    written = 0
    classifier = classifier.to(resolve_device(device)).eval()
    results = predictions(source, classifier, batch)
    if rank() > 0:
        return len(list(results)), skipped
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "label", "group", "predicted", *(f"prob_{name}" for name in classifier.class_names)])
        for rows, left_out in results:
            table.writerows(rows)
            written += len(rows)
            skipped += left_out
        check(written > 0, "data", "hold at least one readable image", f"none ({first_reason(skipped)})")
    return written, skipped


def first_reason(skipped: list[tuple[str, str]]) -> str:
    """Why the first image was left out.

    Example:
        >>> first_reason([("a.png", "the file is empty")])
        'a.png: the file is empty'
    """
    return ": ".join(skipped[0]) if skipped else "it is empty"


def predictions(
    source: Source, classifier: Classifier, batch: int
) -> Iterator[tuple[list[list[str]], list[tuple[str, str]]]]:
    """For every `batch` cases in order: their lines of the table, and names and reasons of unreadable ones."""
    from histoxplain._ranks import share, spread
    from histoxplain.train.loop import progress

    chunks = [range(i, min(i + batch, len(source))) for i in range(0, len(source), batch)]
    with progress(sum(map(len, share(chunks))), what="predict", unit="img") as bar:

        def predict(places: range) -> tuple[list[list[str]], list[tuple[str, str]]]:
            cases, left_out = read(source, places, classifier)
            found = classify(classifier, cases) if cases else []
            bar.update(len(places))
            return [row(case, p, source.class_names, classifier.class_names) for case, p in zip(cases, found)], left_out

        yield from spread(predict, chunks)


def read(source: Source, places: range, classifier: Classifier) -> tuple[list[Case], list[tuple[str, str]]]:
    """Some cases, fit for the classifier, and names and reasons of those that cannot be read."""
    cases: list[Case] = []
    left_out: list[tuple[str, str]] = []
    for place in places:
        try:
            cases.append(fit(source[place], source.resolution, classifier))
        except InputError as error:
            left_out.append((source.ids[place], str(error)))
    return cases, left_out


def fit(case: Case, resolution: int | None, classifier: Classifier) -> Case:
    """The case as `histoxplain prepare` would have made it: square, and grey or RGB as the classifier takes it."""
    from dataclasses import replace

    import torch

    from histoxplain.data import square, to_uint8, to_unit

    image = case.image
    if len(image) < classifier.channels:
        image = image.expand(classifier.channels, -1, -1)
    elif len(image) > classifier.channels:
        luma = torch.tensor([0.299, 0.587, 0.114]).to(image)
        image = torch.einsum("c,chw->hw", luma, image)[None]
    if resolution is None:
        image = to_unit(square(to_uint8(image), classifier.resolution))
    return replace(case, image=image)


def classify(classifier: Classifier, cases: list[Case]) -> list[list[float]]:
    """Probabilities of each case's classes."""
    import torch

    device = classifier.temperature.device
    with torch.inference_mode():
        return classifier.probabilities(torch.stack([case.image for case in cases]).to(device)).tolist()


def row(case: Case, probabilities: list[float], labels: tuple[str, ...], classes: tuple[str, ...]) -> list[str]:
    """One line of the table; label and group are empty where unknown."""
    label = "" if case.label is None or case.label < 0 else labels[case.label]
    predicted = classes[max(range(len(classes)), key=probabilities.__getitem__)]
    return [case.id, label, case.group or "", predicted, *(f"{p:.6f}" for p in probabilities)]
