"""From anything to prepared data: square images of one size, split by group."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import ImageChops
from tqdm import tqdm

from histoxplain._atomic import replacing
from histoxplain._checks import check, check_at_least, check_exists, check_one_of
from histoxplain.data.collection import WAY_OUT, Candidate, collect
from histoxplain.data.dicom import SPACING, WINDOW
from histoxplain.data.formats import WRITERS, Writer, check_destination, choose_format
from histoxplain.data.groups import GroupOf
from histoxplain.data.lmdb import encode_png
from histoxplain.data.naming import LabelOf
from histoxplain.data.report import Report, Skipped, count_groups, remarks, report_path, summary, tabulate, write_report
from histoxplain.data.source import Row
from histoxplain.data.splits import check_fractions, split_groups
from histoxplain.data.terms import terms_of
from histoxplain.data.transforms import FILTER, WHITE_16_BIT, UnreadableImageError, square_picture, to_channels
from histoxplain.data.window import NO_WINDOW, Window

FRACTIONS = (0.7, 0.15, 0.15)
"""Shares of train, validation and test, where no split was published."""
FACTS = ("resolution", "channels", "count", "filter", "seed", "source", "terms")
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
    boxes: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
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
        boxes: crop to the square around the bounding box that the data set gives for each image, as CUB-200 does.
        overwrite: whether an existing destination may be replaced.
        workers: threads that read; as many as there are processors by default.
        progress: whether to show a progress bar on stderr.

    Raises:
        InputError: if an argument is wrong, the destination exists, or no image can be used.
        OSError: if the disk is full; nothing is left behind then.
    """
    kind = choose_format(Path(destination), format)
    WRITERS[kind].check_resolution(resolution)
    check_fractions(FRACTIONS if fractions is None else fractions)
    check_at_least("white", white, 1)
    workers = os.cpu_count() or 1 if workers is None else workers
    check_at_least("workers", workers, 1)
    destination = check_destination(destination, overwrite, kind)
    source = check_exists("source", source)
    found = collect(source, group_of, white, label_of, window, boxes)
    candidates, skipped, doubts = found.candidates, found.skipped, []
    check(bool(candidates), "source", "hold images", f"{source}, where {summary(skipped)}", WAY_OUT)
    channels = choose_channels(candidates, channels, WRITERS[kind].channels)
    shrink = partial(encode, resolution=resolution, channels=channels)
    with (
        tqdm(
            in_order(shrink, candidates, workers), "prepare", len(candidates), unit="image", disable=not progress
        ) as bar,
        replacing(report_path(destination)) as report_file,
        WRITERS[kind](destination) as writer,
    ):
        with closing(bar.iterable):
            rows = write_images(writer, candidates, bar, skipped, doubts)
        check(bool(rows), "source", "hold readable images", f"{source}, where {summary(skipped)}", WAY_OUT)
        rows, kept = (rows, found.class_names) if found.numbered else drop_empty_classes(rows, found.class_names)
        rows, shares = split(rows, fractions, seed)
        report = Report(
            source=str(source),
            destination=str(destination),
            resolution=resolution,
            channels=channels,
            filter=FILTER,
            seed=seed,
            fractions=shares,
            count=len(rows),
            groups=count_groups(rows),
            classes=tabulate(rows, kept),
            skipped=skipped,
            notes=remarks(rows, found.class_names, kept) + doubts,
            format=kind,
            terms=terms_of(source),
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


def choose_channels(candidates: Sequence[Candidate], wish: int | None, needed: int | None) -> int:
    """What the format needs, or the wish, or 1 if no image has any colour."""
    if wish is not None:
        check_one_of("channels", wish, (1, 3) if needed is None else (needed,))
    if wish or needed:
        return wish or needed
    return 3 if any(map(has_colour, candidates)) else 1


def has_colour(candidate: Candidate) -> bool:
    """Whether an image is readable and not grey throughout."""
    with suppress(UnreadableImageError):
        picture = candidate.load()
        if picture.mode == "RGB":
            red, green, blue = picture.split()
            return any(ImageChops.difference(red, other).getbbox() for other in (green, blue))
    return False


@dataclass(frozen=True)
class Encoded:
    """A square PNG, and what was known of the picture that it was made of."""

    png: bytes
    pixel_spacing: tuple[float, float] | None = None
    """Of the PNG, in mm."""
    windowed: bool = True
    """Whether it is known what black and white are."""


def encode(candidate: Candidate, resolution: int, channels: int) -> Encoded | UnreadableImageError:
    """The square PNG of an image, or why there is none."""
    try:
        picture = candidate.load()
    except UnreadableImageError as error:
        return error
    factor = min(picture.size) / resolution
    spacing = picture.info.get(SPACING) or candidate.row.pixel_spacing
    spacing = tuple(round(mm * factor, 6) for mm in spacing) if spacing else None
    png = encode_png(to_channels(square_picture(picture, resolution), channels))
    return Encoded(png, spacing, picture.info.get(WINDOW) != NO_WINDOW)


def in_order(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Map with threads, results in the order of `items`, only a few ahead at any time.

    Example:
        >>> list(in_order(abs, [-3, 2, -1], workers=2))
        [3, 2, 1]
    """
    pool = ThreadPoolExecutor(workers)
    ahead: deque[Future[Any]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 8 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def write_images(
    writer: Writer,
    candidates: Sequence[Candidate],
    results: Iterable[Encoded | UnreadableImageError],
    skipped: list[Skipped],
    notes: list[str],
) -> list[Row]:
    """Write the PNGs; returns the rows of what was written and adds to `skipped` what was not, to `notes` doubts."""
    rows, windowless = [], 0
    for result, candidate in zip(results, candidates):
        if isinstance(result, UnreadableImageError):
            skipped.append(Skipped(candidate.row.id, result.reason))
        else:
            writer.put_image(len(rows), result.png)
            rows.append(replace(candidate.row, pixel_spacing=result.pixel_spacing))
            windowless += not result.windowed
    skipped.sort(key=lambda entry: entry.file)
    if windowless:
        shades = "each one's smallest value is black, its largest white"
        notes.append(f"{windowless} DICOM files name no window: {shades}; --window CENTRE/WIDTH sets one")
    return rows


def drop_empty_classes(rows: Sequence[Row], class_names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Rows and names without the classes that have no image."""
    present = sorted({row.label for row in rows if row.label >= 0})
    new = {-1: -1} | {old: i for i, old in enumerate(present)}
    return [replace(row, label=new[row.label]) for row in rows], [class_names[label] for label in present]
