"""From volumes to prepared data: axial slices of one size in mm, with masks, split by volume."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from histoxplain._checks import InputError, check, check_at_least, check_between
from histoxplain.data.collection import Candidate, Collection
from histoxplain.data.dicom import SPACING
from histoxplain.data.masks import to_mask
from histoxplain.data.order import Order
from histoxplain.data.preparation import carry_out
from histoxplain.data.report import Report, Skipped
from histoxplain.data.source import Row
from histoxplain.data.volumes.anomaly import Anomaly
from histoxplain.data.volumes.examples import Example, by_organ, class_names, repeats, with_anomalies
from histoxplain.data.volumes.greys import Greys
from histoxplain.data.volumes.grid import SliceGrid
from histoxplain.data.volumes.organs import match_labels, phrase
from histoxplain.data.volumes.parts import assign, check_parts
from histoxplain.data.volumes.reading import read_volume
from histoxplain.data.volumes.slices import Stack, cut
from histoxplain.data.volumes.volume import Volume


def prepare_volumes(
    volumes: Sequence[str | Path],
    destination: str | Path,
    resolution: int = 128,
    *,
    masks: Sequence[str | Path] = (),
    organ: Sequence[str] = (),
    window: str = "soft tissue",
    field: float | None = None,
    distance: float | None = None,
    centre: str = "scan",
    least: int = 1,
    anomaly: Anomaly | str | None = None,
    anomaly_share: float = 0.65,
    draws: int = 1,
    test: Sequence[str] = (),
    validation: Sequence[str] = (),
    validation_share: float = 0.15,
    seed: int = 0,
    **options: Any,
) -> Report:
    """Write the axial slices of CT or MR volumes, with masks, as `prepare` writes images.

    Volumes and masks are turned upright by their affines and resampled to square slices of the same size in mm around
    the middle of each volume: linearly, masks by their nearest voxels. A slice that an earlier volume has, voxel by
    voxel, is left out, lest it leaks into the test.

    Args:
        volumes: NIfTI files, or folders with a DICOM series each.
        destination: what to write; the report goes to `destination` + ".report.json".
        resolution: side of the slices, in pixels; a power of two, but for npz.
        masks: NIfTI files with labels, one for each volume in their order; without them slices have no class.
        organ: names or numbers of labels; slices with any of them are of class 1. By default every label counts.
        window: what becomes black and white: a name of `WINDOWS`, CENTRE/WIDTH, "percentiles" (of each volume), or
            LOW%-HIGH%.
        field: side of the slices, in mm; by default the largest side of all volumes.
        distance: between slices, in mm; by default each volume's own.
        centre: of the slices: "scan", the middle of what was scanned, or "body", that of the body in it.
        least: pixels of the organ that make a slice one with it; those with fewer are left out.
        anomaly: lay synthetic anomalies into the organ ("blob" or "texture", or an `Anomaly`), and tell slices with one
            from slices without; those whose organ is too small for one are left out.
        anomaly_share: probability of an anomaly.
        draws: how many times a slice is drawn, each time with a chance of another anomaly.
        test: names of the volumes for the test (files without their endings).
        validation: names of those for validation; without any, blocks of the training volumes' slices.
        validation_share: share of these blocks. Without `test` and `validation` volumes are split by chance.
        seed: of splits and anomalies.
        options: format, fractions, overwrite, workers and progress, as in `prepare`.

    Raises:
        ImportError: if nibabel, or pydicom, is not installed.
        InputError: if an argument is wrong, the destination exists, a volume or mask is damaged, says not where it lies
            or covers another place, or no slice shows the organ.
    """
    order = Order(destination, resolution, seed=seed, channels=1, **options)
    greys, anomaly = Greys.parse(window), Anomaly(anomaly) if isinstance(anomaly, str) else anomaly
    check_sources(volumes, masks, bool(organ or anomaly))
    alone = order.fractions is None or not (test or validation)
    check(alone, "fractions", "be given without test and validation", "both", "name volumes, or let chance split them")
    check_at_least("draws", draws, 1)
    check_between("anomaly_share", anomaly_share, 0, 1)
    scans = [read_volume(path) for path in volumes]
    names = [scan.name for scan in scans]
    check(len({*names}) == len(names), "volumes", "have different names", ", ".join(names), "rename one")
    check_parts(names, test, validation, validation_share)
    labels = [read_volume(path) for path in masks]
    field = max(max((high - low)[:2]) for low, high in (scan.box() for scan in scans)) if field is None else field
    stacks = [
        stack_of(scan, mask, SliceGrid.of(scan, resolution, field, distance, centre), greys, organ)
        for scan, mask in zip(scans, labels or [None] * len(scans), strict=True)
    ]
    found = [one for stack in stacks for one in examples_of(stack, least, anomaly, anomaly_share, draws, seed)]
    again = repeats(stacks)
    examples = [one for one in found if isinstance(one, Example) and one.slice_id not in again]
    skipped = [one for one in found if isinstance(one, Skipped) and one.file not in again]
    skipped += [Skipped(id, reason) for id, reason in again.items()]
    if masks:
        check_classes(examples, labels, organ, anomaly)
    rows = [Row(one.id, one.label, one.volume) for one in examples]
    rows, notes = assign(rows, [one.height for one in examples], test, validation, validation_share, seed)
    candidates = [Candidate(row, partial(grey_picture, one), mask_of(one)) for row, one in zip(rows, examples)]
    classes = class_names(organ, anomaly) if masks else []
    collection = Collection(candidates, classes, skipped, numbered=bool(classes), notes=notes)
    return carry_out(order, collection, ", ".join(map(str, volumes)), filter="linear")


def check_sources(volumes: Sequence[str | Path], masks: Sequence[str | Path], needed: bool) -> None:
    """There must be a volume, and a mask for each or none at all."""
    check(len(volumes) > 0, "volumes", "be at least one", "none")
    check(not needed or bool(masks), "masks", "say where the organ is", "none", "give a NIfTI file for each volume")
    fits = len(masks) in (0, len(volumes))
    check(fits, "masks", f"be one for each of {len(volumes)} volumes, in their order", len(masks))


def stack_of(scan: Volume, mask: Volume | None, grid: SliceGrid, greys: Greys, organ: Sequence[str]) -> Stack:
    """The slices of a volume."""
    return cut(scan, grid, greys, mask, match_labels(organ, mask.labels) if mask else ())


def examples_of(
    stack: Stack, least: int, anomaly: Anomaly | None, share: float, draws: int, seed: int
) -> list[Example | Skipped]:
    """The examples of a volume."""
    return list(by_organ(stack, least) if anomaly is None else with_anomalies(stack, anomaly, share, draws, seed))


def check_classes(
    examples: Sequence[Example], masks: Sequence[Volume], organ: Sequence[str], anomaly: Anomaly | None
) -> None:
    """At least one slice must show what is looked for."""
    if any(one.label == 1 for one in examples):
        return
    if anomaly is not None:
        raise InputError(
            "`anomaly` must fit into at least one slice, got none; ask for a smaller one or another organ."
        )
    held = sorted({str(mask.labels.get(int(n), int(n))) for mask in masks for n in np.unique(mask.values) if n})
    what = phrase(organ) or "any label"
    raise InputError(f"`organ` must show in at least one slice, got none with {what}; masks hold {', '.join(held)}.")


def grey_picture(example: Example) -> Image.Image:
    """A slice as "L" picture that knows the size of its pixels."""
    picture = Image.fromarray(np.clip(example.greys * 127.5 + 128, 0, 255).astype(np.uint8))
    picture.info[SPACING] = (example.pixel, example.pixel)
    return picture


def mask_of(example: Example) -> partial[Image.Image] | None:
    """How to load the mask of an example, if it has one."""
    return None if example.mask is None else partial(to_mask, example.mask)
