"""Make square images, split by patient, of a folder with one sub-folder per class, or of data in another format.

Images are cropped to their central square and resized with Lanczos. A published split is kept, unless --fractions or
groups ask for a new one. Every file that is left out is named, with the reason, in DST.report.json. Of volumes
(CT and MR as NIfTI, or a DICOM series) `histoxplain prepare volumes --help` says more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from histoxplain.data import Report


SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain prepare`."""

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """Folder with one sub-folder of images (or DICOM) per class, the folder or zip of a published data set, NVIDIA's
    dataset.zip, MedMNIST's npz, an LMDB of rosinality or HistoXplaining, an LMDB made before, or the word "synthetic"
    for tissue painted by histoxplain, whose diseased part is known."""
    destination: Annotated[Positional[Path], arg(metavar="DESTINATION")]
    """What to write: an LMDB, or what its ending .zip or .npz says."""
    resolution: int = 64
    """Side of the square images, in pixels; a power of two, but for npz."""
    format: Literal["lmdb", "zip", "npz", "rosinality", "histoxplaining"] | None = None
    """lmdb: ours; zip: for NVIDIA's StyleGAN; npz: as MedMNIST; rosinality, histoxplaining: folders with their LMDB."""
    groups: Path | None = None
    """CSV file that says which images belong together (one patient, one slide)."""
    group_column: str | None = None
    """Its column with the group."""
    file_column: str = "file"
    """Its column with the file: the path inside SOURCE, or the file name alone."""
    group_regex: str | None = None
    r"""Instead of a CSV file: a regular expression searched in the file name, such as "person(\d+)"."""
    label_regex: str | None = None
    """Classes by file name instead of by folder: a regular expression, such as "bacteria|virus"; files that it does not
    match keep the class of their folder."""
    fractions: tuple[float, float, float] | None = None
    """Shares of train, validation and test; by default the published split, or else 0.7 0.15 0.15."""
    seed: int = 0
    """Of the split, which depends on labels, groups and seed only, and of synthetic tissue."""
    channels: Literal["auto", "1", "3"] = "auto"
    """1 for grey, 3 for RGB; auto takes grey if no image has any colour."""
    white: int = 65535
    """The value of white in 16-bit files; 4095 for 12-bit data."""
    window: str | None = None
    """Of DICOM: the number of the files' window, from 1, or CENTRE/WIDTH (--window=-600/1500); by default the first."""
    frame: int | None = None
    """Of DICOM with several frames: the number of the one to take, from 1; files without it are left out."""
    boxes: bool = False
    """Crop to the square around the bounding box that the data set gives for each image, as CUB-200 does."""
    workers: int | None = None
    """Threads that read; by default one per processor."""
    masks: Path | None = None
    """Folder with masks of what is diseased (0 is not), in files named as the images; prepared with them, for tests."""
    count: int = 1000
    """How many images of synthetic tissue to paint."""
    share: float = 0.5
    """Share of it that is diseased."""
    extent: tuple[float, float] = (0.25, 0.9)
    """The least and the largest share of a diseased image of it that is diseased."""
    overwrite: bool = False
    """Replace DESTINATION if it exists."""

    def __call__(self) -> None:
        """Prepare, and print what came out."""
        report = self._paint() if str(self.source) == SYNTHETIC else self._convert()
        print(describe(report))

    def _paint(self) -> Report:
        """Prepare synthetic tissue."""
        from histoxplain.data.synthetic import prepare_tissue

        return prepare_tissue(
            self.destination,
            self.count,
            self.resolution,
            share=self.share,
            extent=self.extent,
            seed=self.seed,
            format=self.format,
            fractions=self.fractions,
            channels=None if self.channels == "auto" else int(self.channels),
            overwrite=self.overwrite,
            workers=self.workers,
        )

    def _convert(self) -> Report:
        """Prepare images that exist."""
        from histoxplain.data.groups import choose_groups
        from histoxplain.data.naming import labels_from_name
        from histoxplain.data.preparation import prepare
        from histoxplain.data.window import parse_window

        return prepare(
            self.source,
            self.destination,
            self.resolution,
            format=self.format,
            group_of=choose_groups(self.groups, self.group_column, self.file_column, self.group_regex),
            label_of=None if self.label_regex is None else labels_from_name(self.label_regex),
            fractions=self.fractions,
            seed=self.seed,
            channels=None if self.channels == "auto" else int(self.channels),
            white=self.white,
            window=parse_window(self.window),
            frame=self.frame,
            boxes=self.boxes,
            overwrite=self.overwrite,
            workers=self.workers,
            masks=self.masks,
        )


def parse(arguments: Sequence[str], prog: str) -> Any:
    """The options of this verb or, where the first path is a volume, of `prepare volumes`."""
    from histoxplain.cli import prepare_volumes
    from histoxplain.cli.options import read_options
    from histoxplain.data.volumes import is_volume

    volumes = bool(arguments) and is_volume(arguments[0])
    module, prog = (prepare_volumes, f"{prog} volumes") if volumes else (sys.modules[__name__], prog)
    return read_options(module.Command, arguments, prog, module.__doc__)


def describe(report: Report) -> str:
    """The report as a few lines for people."""
    kind = "RGB" if report.channels == 3 else "grey"
    side = f"{report.resolution}x{report.resolution}"
    lines = [f"{report.count} {kind} images of {side} pixels in {report.groups} groups -> {report.destination}"]
    for name, splits in report.classes.items():
        lines.append(f"  {name}: " + ", ".join(f"{count} {split}" for split, count in splits.items()))
    lines += [f"  {report.masks} of them with a mask"] if report.masks else []
    lines += [f"  terms: {report.terms}"] if report.terms else []
    lines += [f"  note: {note}" for note in report.notes]
    count = len(report.skipped)
    names = f"names {'it and why' if count == 1 else 'each and why'}" if count else "says all this"
    lines.append(f"  {count} file{'s' * (count != 1)} left out; {report.destination}.report.json {names}")
    return "\n".join(lines)
