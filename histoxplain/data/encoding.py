"""From a candidate to the square PNGs of its image and its mask, with threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from PIL import ImageChops

from histoxplain._checks import check_one_of
from histoxplain.data.collection import Candidate
from histoxplain.data.dicom import SPACING, WINDOW
from histoxplain.data.formats import Writer
from histoxplain.data.lmdb import encode_png
from histoxplain.data.masks import square_mask
from histoxplain.data.report import Skipped
from histoxplain.data.source import Row
from histoxplain.data.transforms import UnreadableImageError, square_picture, to_channels
from histoxplain.data.window import NO_WINDOW


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
    mask: bytes | None = None
    """PNG of what is diseased, where that is known."""


def encode(candidate: Candidate, resolution: int, channels: int) -> Encoded | UnreadableImageError:
    """The square PNGs of an image and its mask, or why there is none.

    Raises:
        InputError: if the mask is not as large as the image.
    """
    try:
        picture = candidate.load()
    except UnreadableImageError as error:
        return error
    factor = min(picture.size) / resolution
    spacing = picture.info.get(SPACING) or candidate.row.pixel_spacing
    spacing = tuple(round(mm * factor, 6) for mm in spacing) if spacing else None
    png = encode_png(to_channels(square_picture(picture, resolution), channels))
    mask = None if candidate.load_mask is None else candidate.load_mask()
    if mask is not None:
        mask = encode_png(square_mask(mask, resolution, picture.size, candidate.row.id))
    return Encoded(png, spacing, picture.info.get(WINDOW) != NO_WINDOW, mask)


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


@dataclass(frozen=True)
class Written:
    """What came of some candidates."""

    rows: list[Row]
    skipped: list[Skipped]
    masks: int
    """How many have a mask."""
    notes: list[str]
    """What else a careful person should know."""


def write_images(
    writer: Writer, candidates: Sequence[Candidate], results: Iterable[Encoded | UnreadableImageError]
) -> Written:
    """Write the PNGs, and the masks where the format has a place for them."""
    rows, skipped, windowless, masks = [], [], 0, 0
    put_mask = getattr(writer, "put_mask", None)
    for result, candidate in zip(results, candidates):
        if isinstance(result, UnreadableImageError):
            skipped.append(Skipped(candidate.row.id, result.reason))
            continue
        writer.put_image(len(rows), result.png)
        if result.mask is not None and put_mask is not None:
            put_mask(len(rows), result.mask)
        rows.append(replace(candidate.row, pixel_spacing=result.pixel_spacing))
        windowless += not result.windowed
        masks += result.mask is not None
    notes = []
    if windowless:
        shades = "each one's smallest value is black, its largest white"
        notes.append(f"{windowless} DICOM files name no window: {shades}; --window CENTRE/WIDTH sets one")
    if masks and put_mask is None:
        notes.append("masks were left out: only an LMDB has a place for them")
    elif 0 < masks < len(rows):
        notes.append(f"only {masks} of {len(rows)} images have a mask")
    return Written(rows, skipped, masks if put_mask else 0, notes)
