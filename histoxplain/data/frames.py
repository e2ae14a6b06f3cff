"""DICOM files of several frames: which one is meant, and what holds for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histoxplain.data.window import first

if TYPE_CHECKING:
    from pydicom import Dataset

_OF_A_FRAME = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelMeasuresSequence": ("PixelSpacing",),
}
"""Where enhanced files keep what others say of all frames at once (PS3.3 C.7.6.16)."""


def choose_frame(dataset: Dataset, frame: int | None = None) -> int:
    """The place of a frame in its file, from 0.

    Args:
        dataset: the file.
        frame: its number, from 1; None for the only one.

    Raises:
        ValueError: if the file has no such frame, or several and none is named.
    """
    count = int(first(dataset.get("NumberOfFrames")) or 1)
    if frame is None and count > 1:
        raise ValueError(f"holds {count} frames; name one by its number from 1, `frame=` or --frame")
    number = 1 if frame is None else frame
    if not 1 <= number <= count:
        raise ValueError(f"has no frame {frame}; it holds {count}" + (", numbered from 1" if count > 1 else ""))
    return number - 1


def bring_forward(dataset: Dataset, place: int) -> None:
    """Say of a file as a whole what it says of one frame: rescaling, window and pixel spacing of enhanced files."""
    for name, only in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", place)):
        groups = dataset.get(name) or []
        for kind, words in _OF_A_FRAME.items() if only < len(groups) else ():
            for said in groups[only].get(kind) or []:
                for word in words:
                    if word in said:
                        setattr(dataset, word, said[word].value)
