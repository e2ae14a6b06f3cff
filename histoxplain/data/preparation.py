"""From a folder of anything to prepared data: square images of one size in an LMDB, split by group."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops
from tqdm import tqdm

from histoxplain._atomic import replacing
from histoxplain._checks import check, check_at_least, check_exists, check_one_of, check_power_of_two
from histoxplain.data.folder import SUFFIXES, class_folders, find_images, row_of, walk
from histoxplain.data.groups import GroupOf
from histoxplain.data.lmdb import FORMAT, ImageLMDB, LMDBWriter, case_key, encode_png, image_key, is_lmdb
from histoxplain.data.report import Report, Skipped, count_groups, remarks, report_path, summary, tabulate, write_report
from histoxplain.data.source import Row
from histoxplain.data.splits import check_fractions, split_groups
from histoxplain.data.transforms import (
    FILTER,
    WHITE_16_BIT,
    UnreadableImageError,
    open_picture,
    square_picture,
    to_channels,
)

WAY_OUT = "give a folder with one sub-folder of images per class"
SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}


@dataclass(frozen=True)
class Candidate:
    """An image that may be prepared: what is known of it, and how to load it as "L" or "RGB" picture."""

    row: Row
    load: Callable[[], Image.Image]


def prepare(
    source: str | Path,
    destination: str | Path,
    resolution: int = 64,
    *,
    group_of: GroupOf | None = None,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    channels: int | None = None,
    white: int = WHITE_16_BIT,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Report:
    """Make an LMDB of square images, split by group, and report every file that was left out.

    Classes are the sub-folders of `source`. Images are cropped to their central square and resized with Lanczos. The
    split depends on labels, groups and `seed` only, not on the resolution. The destination appears complete or not at
    all.

    Args:
        source: image folder, or an LMDB made before (its groups are kept).
        destination: the LMDB file to write; the report goes to `destination` + ".report.json".
        resolution: side of the images, in pixels; a power of two.
        group_of: group of every image; images for which it knows none are left out, for they could leak.
        fractions: shares of train, validation and test.
        seed: of the split.
        channels: 1 (grey) or 3 (RGB); None takes grey if no image has any colour.
        white: the value of white in 16-bit files.
        overwrite: whether an existing destination may be replaced.
        workers: threads that read; as many as there are processors by default.
        progress: whether to show a progress bar on stderr.

    Raises:
        InputError: if an argument is wrong, the destination exists, or no image can be used.
        OSError: if the disk is full; nothing is left behind then.
    """
    check_power_of_two("resolution", resolution)
    check_fractions(fractions)
    check_at_least("white", white, 1)
    workers = os.cpu_count() or 1 if workers is None else workers
    check_at_least("workers", workers, 1)
    destination = check_destination(destination, overwrite)
    source = check_exists("source", source)
    candidates, class_names, skipped = collect(source, group_of, white)
    check(bool(candidates), "source", "hold images", f"{source}, where {summary(skipped)}", WAY_OUT)
    channels = choose_channels(candidates, channels)
    shrink = partial(encode, resolution=resolution, channels=channels)
    with (
        tqdm(
            in_order(shrink, candidates, workers), "prepare", len(candidates), unit="image", disable=not progress
        ) as bar,
        replacing(report_path(destination)) as report_file,
        LMDBWriter(destination) as writer,
    ):
        with closing(bar.iterable):
            rows = write_images(writer, candidates, bar, skipped)
        check(bool(rows), "source", "hold readable images", f"{source}, where {summary(skipped)}", WAY_OUT)
        rows, kept = drop_empty_classes(rows, class_names)
        splits = split_groups([row.label for row in rows], [row.group for row in rows], fractions, seed)
        rows = [replace(row, split=split) for row, split in zip(rows, splits)]
        report = Report(
            source=str(source),
            destination=str(destination),
            resolution=resolution,
            channels=channels,
            filter=FILTER,
            seed=seed,
            fractions=tuple(fractions),
            count=len(rows),
            groups=count_groups(rows),
            classes=tabulate(rows, kept),
            skipped=skipped,
            notes=remarks(rows, class_names, kept),
        )
        write_records(writer, rows, kept, report)
        write_report(report, report_file)
    return report


def check_destination(destination: str | Path, overwrite: bool) -> Path:
    """The destination must be free, or a prepared file that may be replaced."""
    path = Path(destination)
    check(not path.is_dir(), "destination", "be a file", f"the folder {path}", f"try {path / 'data.lmdb'}")
    check(
        overwrite or not path.exists(),
        "destination",
        "be free",
        f"{path}, which exists",
        "pass --overwrite to replace it",
    )
    replaceable = not path.exists() or is_lmdb(path)
    check(
        replaceable,
        "destination",
        "be an LMDB to be replaced",
        f"{path}, which is something else",
        "choose another name",
    )
    return path


def collect(source: Path, group_of: GroupOf | None, white: int) -> tuple[list[Candidate], list[str], list[Skipped]]:
    """The images to prepare in alphabetical order, the class names, and the files left out so far."""
    if is_lmdb(source):
        return collect_lmdb(source, group_of)
    check(source.is_dir(), "source", "be a folder of class folders or an LMDB", f"the file {source}", WAY_OUT)
    class_names = class_folders(source)
    already_split = bool(class_names) and {name.lower() for name in class_names} <= SPLIT_FOLDERS
    got = f"{source}, whose folders are {', '.join(class_names)}"
    check(
        not already_split,
        "source",
        "hold one folder per class",
        got,
        f"give one of them, such as {source / class_names[0]}",
    )
    _, files = find_images(source)
    candidates, skipped = [], [Skipped(name, reason) for name, reason in other_files(source, files)]
    for file in files:
        row = row_of(file.relative_to(source), class_names)
        row = replace(row, group=group_of(row.id) if group_of else None)
        reason = reason_to_skip(row, grouped=group_of is not None, classes=bool(class_names))
        if reason:
            skipped.append(Skipped(row.id, reason))
        else:
            candidates.append(Candidate(row, partial(open_picture, file, white)))
    return candidates, class_names, skipped


def collect_lmdb(path: Path, group_of: GroupOf | None) -> tuple[list[Candidate], list[str], list[Skipped]]:
    """The images of prepared data, with their groups unless `group_of` gives new ones."""
    source = ImageLMDB(path)
    rows = [replace(row, group=group_of(row.id) if group_of else row.group) for row in source.rows]
    candidates = [Candidate(row, partial(source.picture, i)) for i, row in enumerate(rows) if row.group or not group_of]
    skipped = [Skipped(row.id, "no group is known for it") for row in rows if group_of and not row.group]
    return candidates, list(source.class_names), skipped


def other_files(root: Path, images: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Every file that is not among `images`, with the reason."""
    chosen = set(images)
    for file in walk(root):
        if file not in chosen:
            known = file.suffix.lower() in SUFFIXES
            reason = "hidden" if known else f"not an image: ending {file.suffix or '(none)'}"
            yield file.relative_to(root).as_posix(), reason


def reason_to_skip(row: Row, grouped: bool, classes: bool) -> str | None:
    """Why an image must be left out, judged by its place."""
    if classes and row.label < 0:
        return "lies beside the class folders, so its class is unknown"
    if grouped and row.group is None:
        return "no group is known for it, so it could leak from train to test"
    return None


def choose_channels(candidates: Sequence[Candidate], channels: int | None) -> int:
    """The wish, or 1 if no image has any colour."""
    if channels is not None:
        check_one_of("channels", channels, (1, 3))
        return channels
    return 3 if any(map(has_colour, candidates)) else 1


def has_colour(candidate: Candidate) -> bool:
    """Whether an image is readable and not grey throughout."""
    with suppress(UnreadableImageError):
        picture = candidate.load()
        if picture.mode == "RGB":
            red, green, blue = picture.split()
            return any(ImageChops.difference(red, other).getbbox() for other in (green, blue))
    return False


def encode(candidate: Candidate, resolution: int, channels: int) -> bytes | UnreadableImageError:
    """The square PNG of an image, or why there is none."""
    try:
        return encode_png(to_channels(square_picture(candidate.load(), resolution), channels))
    except UnreadableImageError as error:
        return error


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
    writer: LMDBWriter,
    candidates: Sequence[Candidate],
    results: Iterable[bytes | UnreadableImageError],
    skipped: list[Skipped],
) -> list[Row]:
    """Write the PNGs; returns the rows of what was written and adds to `skipped` what was not."""
    rows = []
    for result, candidate in zip(results, candidates):
        if isinstance(result, UnreadableImageError):
            skipped.append(Skipped(candidate.row.id, result.reason))
        else:
            writer.put(image_key(len(rows)), result)
            rows.append(candidate.row)
    skipped.sort(key=lambda entry: entry.file)
    return rows


def drop_empty_classes(rows: Sequence[Row], class_names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Rows and names without the classes that have no image."""
    present = sorted({row.label for row in rows if row.label >= 0})
    new = {-1: -1} | {old: i for i, old in enumerate(present)}
    return [replace(row, label=new[row.label]) for row in rows], [class_names[label] for label in present]


def write_records(writer: LMDBWriter, rows: Sequence[Row], class_names: Sequence[str], report: Report) -> None:
    """Write the cases and what is said about all of them."""
    for number, row in enumerate(rows):
        writer.put_json(case_key(number), asdict(row))
    shared = {name: getattr(report, name) for name in ("resolution", "channels", "count", "filter", "seed", "source")}
    writer.put_json(b"meta", {"format": FORMAT, "class_names": class_names, "skipped": len(report.skipped), **shared})
