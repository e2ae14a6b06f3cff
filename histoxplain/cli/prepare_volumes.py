"""Cut CT or MR volumes into square axial slices with masks, split by volume.

The last path is the DESTINATION. Volumes and masks are turned upright by their affines and resampled to the same size
in mm; classes are slices with and without an organ or, with --anomaly, with and without a synthetic anomaly in it. A
slice that an earlier volume has, voxel by voxel, is left out. Everything that is left out is named, with the reason, in
DESTINATION.report.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain prepare volumes`."""

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="VOLUME... DESTINATION")]
    """NIfTI files, or folders with a DICOM series each, and at last the LMDB to write."""
    resolution: int = 128
    """Side of the square slices, in pixels; a power of two."""
    masks: Annotated[tuple[Path, ...], arg(metavar="NIFTI")] = ()
    """Labels of organs, one file for each volume in their order."""
    organ: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Names or numbers of labels, such as "kidney liver"; by default all labels count."""
    window: str = "soft tissue"
    """What becomes black and white: "soft tissue", "liver", "lung", "bone", "brain", CENTRE/WIDTH, "percentiles" (of
    each volume; for MR), or LOW%-HIGH%."""
    field: float | None = None
    """Side of the slices, in mm; by default the largest side of all volumes."""
    distance: float | None = None
    """Between slices, in mm; by default each volume's own."""
    centre: Literal["scan", "body"] = "scan"
    """Of the slices: the middle of what was scanned, or that of the body in it."""
    least: int = 1
    """Pixels of the organ that make a slice one with it; slices with fewer are left out."""
    anomaly: Literal["blob", "texture"] | None = None
    """Lay synthetic anomalies into the organ: "blob", a bright Gaussian as in COIN, or "texture", coarse grain."""
    anomaly_size: float = 20
    """Side of the square that it fills, in pixels at 256 px."""
    anomaly_vary: float = 0
    """Each is smaller and fainter than that, by up to this share, 0 to 1."""
    anomaly_share: float = 0.65
    """Probability of an anomaly."""
    draws: int = 1
    """How many times each slice is drawn, each time with a chance of another anomaly."""
    test: Annotated[tuple[str, ...], arg(metavar="VOLUME")] = ()
    """Names of the volumes for the test: file names without endings."""
    validation: Annotated[tuple[str, ...], arg(metavar="VOLUME")] = ()
    """Names of those for validation; by default blocks of neighbouring slices of the training volumes."""
    validation_share: float = 0.15
    """Share of these blocks. Without --test and --validation, volumes are split by chance."""
    fractions: tuple[float, float, float] | None = None
    """Then the shares of train, validation and test; by default 0.7 0.15 0.15."""
    seed: int = 0
    """Of splits and anomalies."""
    workers: int | None = None
    """Threads that write; by default one per processor."""
    overwrite: bool = False
    """Replace DESTINATION if it exists."""

    def __call__(self) -> None:
        """Prepare, and print what came out."""
        from histoxplain._checks import check
        from histoxplain.cli.prepare import describe
        from histoxplain.data.volumes import prepare_volumes
        from histoxplain.data.volumes.anomaly import Anomaly

        got = " ".join(map(str, self.paths)) or "nothing"
        check(len(self.paths) > 1, "paths", "be volumes and, last, what to write", got)
        report = prepare_volumes(
            self.paths[:-1],
            self.paths[-1],
            self.resolution,
            masks=self.masks,
            organ=self.organ,
            window=self.window,
            field=self.field,
            distance=self.distance,
            centre=self.centre,
            least=self.least,
            anomaly=None if self.anomaly is None else Anomaly(self.anomaly, self.anomaly_size, vary=self.anomaly_vary),
            anomaly_share=self.anomaly_share,
            draws=self.draws,
            test=self.test,
            validation=self.validation,
            validation_share=self.validation_share,
            seed=self.seed,
            fractions=self.fractions,
            overwrite=self.overwrite,
            workers=self.workers,
        )
        print(describe(report))
