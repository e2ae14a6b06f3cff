"""Counterfactuals as DICOM files that a viewer shows beside a scan, and that nobody can take for one."""

from __future__ import annotations

from pathlib import Path

from histoxplain import __version__
from histoxplain.data import to_uint8
from histoxplain.data.dicom_writing import new_uid, write_synthetic
from histoxplain.explain.record import Explanation


def write_dicom(
    explanation: Explanation, folder: str | Path, pixel_spacing: tuple[float, float] | None = None
) -> list[Path]:
    """Write each counterfactual as DICOM secondary capture, `counterfactual-1.dcm` and so on, one series of one study.

    Every file says in its pixels and in its tags that it is synthetic; none has anything of a patient, not even the
    name of the file that was explained.

    Args:
        explanation: what to write.
        folder: where; made if missing.
        pixel_spacing: distance of rows and of columns of the explained image in mm, if known.

    Returns:
        The files.

    Raises:
        ImportError: if pydicom is not installed.
    """
    study, series = new_uid(), new_uid()
    target = explanation.class_names[explanation.target_class]
    files = []
    for i, (image, after) in enumerate(zip(explanation.counterfactuals, explanation.probabilities_after)):
        description = (
            f"Synthetic: histoxplain {__version__}, method {explanation.method}, changed an image that a classifier "
            f"calls {explanation.class_names[explanation.source_class]} until it gives {target} the probability "
            f"{float(after[explanation.target_class]):.2f}. Not an image of a patient, not for diagnosis."
        )
        files.append(
            write_synthetic(
                Path(folder) / f"counterfactual-{i + 1}.dcm",
                to_uint8(image),
                f"counterfactual: {target}",
                description[:1024],
                pixel_spacing=pixel_spacing,
                study=study,
                series=series,
                number=i + 1,
            )
        )
    return files
