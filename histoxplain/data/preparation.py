"""From anything to prepared data: square images of one size, split by group."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from histoxplain._atomic import replacing
from histoxplain._checks import check, check_at_least, check_exists
from histoxplain.data.collection import WAY_OUT, Collection, collect
from histoxplain.data.encoding import choose_channels, encode, in_order, write_images
from histoxplain.data.formats import WRITERS
from histoxplain.data.groups import GroupOf
from histoxplain.data.mask_folder import with_masks
from histoxplain.data.naming import LabelOf
from histoxplain.data.order import FRACTIONS, Order
from histoxplain.data.report import Report, count_groups, remarks, report_path, summary, tabulate, write_report
from histoxplain.data.source import Row
from histoxplain.data.splits import split_groups
from histoxplain.data.terms import terms_of
from histoxplain.data.transforms import FILTER, WHITE_16_BIT
from histoxplain.data.window import Window

FACTS = ("resolution", "channels", "count", "filter", "seed", "source", "terms", "masks")
"""What the file itself says of its making; the rest stands in the report."""


def prepare(
    source: str | Path,
    destination: str | Path,
    resolution: int = 64,
    *,
    format: str | None = None,
    group_of: GroupOf | None = None,
    label_of: LabelOf | None = None,
    fractions: Sequence[float] | None = None,
    seed: int = 0,
    channels: int | None = None,
    white: int = WHITE_16_BIT,
    window: Window = None,
    frame: int | None = None,
    boxes: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
    masks: str | Path | None = None,
) -> Report:
    """Make square images of anything, split by group, and report every file that was left out.

    Images are cropped to their central square and resized with Lanczos. A split that the source has is kept, unless
    `fractions` or `group_of` ask for a new one; a new one depends on labels, groups and `seed` only, not on the
    resolution. The destination appears complete or not at all.

    Args:
        source: image folder, zip archive, npz or LMDB; see `open_source` and `histoxplain.data.layouts`.
        destination: what to write; the report goes to `destination` + ".report.json".
        resolution: side of the images, in pixels; a power of two, but for npz.
        format: "lmdb", "zip" (NVIDIA's), "npz" (MedMNIST's), "rosinality" or "histoxplaining"; by default the ending of
            `destination` tells.
        group_of: group of every image; images for which it knows none are left out, for they could leak.
        label_of: class of every image, say from its name (`labels_from_name`); where it knows none the source's counts.
        fractions: shares of train, validation and test; by default the published split, or else `FRACTIONS`.
        seed: of the split.
        channels: 1 (grey) or 3 (RGB); None takes grey if no image has any colour.
        white: the value of white in 16-bit files.
        window: of DICOM; the number of the files' window, from 1, or centre and width. By default the first.
        frame: of DICOM of several frames; the number of the one to take, from 1. Files without it are left out.
        boxes: crop to the square around the bounding box that the data set gives for each image, as CUB-200 does.
        overwrite: whether an existing destination may be replaced.
        workers: threads that read; as many as there are processors by default.
        progress: whether to show a progress bar on stderr.
        masks: folder with masks of what is diseased, in files named as the images; cropped and resized as these are,
            with their nearest pixels. By default those that the source has, as an LMDB may.

    Raises:
        InputError: if an argument is wrong, the destination exists, no image can be used, or a mask is not as large as
            its image.
        OSError: if the disk is full; nothing is left behind then.
    """
    check_at_least("white", white, 1)
    check_at_least("frame", 1 if frame is None else frame, 1)
    check(masks is None or not boxes, "masks", "be given without boxes", "both", "crop images and masks beforehand")
    order = Order(destination, resolution, format, fractions, seed, channels, overwrite, workers, progress)
    check(masks is None or order.keeps_masks, "masks", "be written to an LMDB", f"format {order.kind}")
    source = check_exists("source", source)
    found = collect(source, group_of, white, label_of, window, frame, boxes)
    if masks is not None:
        found = with_masks(found, masks)
    return carry_out(order, found, source, terms=terms_of(source))


def carry_out(
    order: Order, found: Collection, source: str | Path, filter: str = FILTER, terms: str | None = None
) -> Report:
    """Write the images of a collection as ordered, and the report beside them.

    Args:
        order: what to write.
        found: the images.
        source: what to call their source.
        filter: how they came to their resolution.
        terms: under which they were published.

    Raises:
        InputError: if no image can be used.
        OSError: if the disk is full; nothing is left behind then.
    """
    candidates, kind, destination = found.candidates, order.kind, Path(order.destination)
    check(bool(candidates), "source", "hold images", f"{source}, where {summary(found.skipped)}", WAY_OUT)
    channels = choose_channels(candidates, order.channels, WRITERS[kind].channels)
    shrink = partial(encode, resolution=order.resolution, channels=channels)
    results = in_order(shrink, candidates, order.threads)
    with (
        tqdm(results, "prepare", len(candidates), unit="image", disable=not order.progress) as bar,
        replacing(report_path(destination)) as report_file,
        WRITERS[kind](destination) as writer,
    ):
        with closing(results):
            written = write_images(writer, candidates, bar)
        skipped = sorted([*found.skipped, *written.skipped], key=lambda entry: entry.file)
        check(bool(written.rows), "source", "hold readable images", f"{source}, where {summary(skipped)}", WAY_OUT)
        rows, kept = written.rows, found.class_names
        if not found.numbered:
            rows, kept = drop_empty_classes(rows, kept)
        rows, shares = split(rows, order.fractions, order.seed)
        report = Report(
            source=str(source),
            destination=str(destination),
            resolution=order.resolution,
            channels=channels,
            filter=filter,
            seed=order.seed,
            fractions=shares,
            count=len(rows),
            groups=count_groups(rows),
            classes=tabulate(rows, kept),
            skipped=skipped,
            notes=remarks(rows, found.class_names, kept) + found.notes + written.notes,
            format=kind,
            terms=terms,
            masks=written.masks,
        )
        writer.finish(rows, kept, {name: getattr(report, name) for name in FACTS} | {"skipped": len(skipped)})
        write_report(report, report_file)
    return report


def split(rows: Sequence[Row], fractions: Sequence[float] | None, seed: int) -> tuple[list[Row], tuple[float, ...]]:
    """Rows with their splits, and the shares that were asked for; none if a published split was kept."""
    if fractions is None and all(row.split for row in rows):
        return list(rows), ()
    shares = FRACTIONS if fractions is None else tuple(fractions)
    splits = split_groups([row.label for row in rows], [row.group for row in rows], shares, seed)
    return [replace(row, split=name) for row, name in zip(rows, splits)], shares


def drop_empty_classes(rows: Sequence[Row], class_names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Rows and names without the classes that have no image."""
    present = sorted({row.label for row in rows if row.label >= 0})
    new = {-1: -1} | {old: i for i, old in enumerate(present)}
    return [replace(row, label=new[row.label]) for row in rows], [class_names[label] for label in present]
