"""Published data sets by name: where they are, how to check them, and under which terms they may be used.

MedMNIST's checksums, class names and licences (`medmnist.json`) are those of its package, version 3.0.2. Where no
checksum could be found with the publisher, there is none here: the first download is then recorded and later ones are
held against it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from histoxplain._checks import check, check_one_of

SIZES = (28, 64, 128, 224)
"""Sides of MedMNIST's images, in pixels; the first has no number in its file name."""


@dataclass(frozen=True)
class Published:
    """A published data set."""

    name: str
    title: str
    url: str
    """The file, as a program fetches it."""
    file: str
    """What it is called on disk."""
    page: str
    """Where people find it."""
    licence: str
    checksum: str | None = None
    """Algorithm and digest, `md5:...`; None where the publisher gives none that we know of."""
    citation: str = ""
    note: str = ""
    """What to know before splitting or sharing it."""

    @property
    def unpack(self) -> bool:
        """Whether it must be unpacked to be read: a tar file has no table of contents, a zip file has."""
        return self.file.endswith((".tgz", ".tar.gz"))


KATHER = {
    "page": "https://zenodo.org/records/1214456",
    "licence": "CC BY 4.0",
    "citation": "Kather et al., PLOS Medicine 2019, doi:10.1371/journal.pmed.1002730",
}
CATALOGUE = (
    Published(
        "nct-crc-he",
        "100,000 tiles of colorectal cancer and normal tissue, H&E, 224 px, nine classes, colours normalised",
        "https://zenodo.org/records/1214456/files/NCT-CRC-HE-100K.zip",
        "NCT-CRC-HE-100K.zip",
        checksum="md5:6fd702d11df6292bc054397ae038a464",
        note="The patients of the tiles are not published: use crc-val-he-7k, which is of others, as the test set.",
        **KATHER,
    ),
    Published(
        "crc-val-he-7k",
        "7,180 tiles of 50 other patients, the test set of nct-crc-he",
        "https://zenodo.org/records/1214456/files/CRC-VAL-HE-7K.zip",
        "CRC-VAL-HE-7K.zip",
        checksum="md5:2fd1651b4f94ebd818ebf90ad2b6ce06",
        **KATHER,
    ),
    Published(
        "lc25000",
        "25,000 tiles of lung and colon, H&E, 768 px, five classes",
        # The publisher gives a torrent only; this is a mirror.
        "https://www.kaggle.com/api/v1/datasets/download/andrewmvd/lung-and-colon-cancer-histopathological-images",
        "LC25000.zip",
        page="https://academictorrents.com/details/7a638ed187a6180fd6e464b3666a6ea0499af4af",
        licence='none named; "freely available for download to be used by AI researchers in any way they see fit"',
        citation="Borkowski et al., arXiv:1912.12142",
        note="Each source tile stands here several times, turned or flipped: a split by image leaks; see --groups.",
    ),
    Published(
        "chest-xray-pneumonia",
        "5,856 paediatric chest X-rays, normal or pneumonia",
        "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/f12eaf6d-6023-432f-acc9-80c9d7393433/"
        "file_downloaded",
        "ChestXRay2017.zip",
        page="https://data.mendeley.com/datasets/rscbjbr9sj/2",
        licence="CC BY 4.0",
        citation="Kermany et al., Cell 2018, doi:10.1016/j.cell.2018.02.010",
        note="The published split is kept, and patients are taken from the file names.",
    ),
    Published(
        "cub-200",
        "11,788 photographs of 200 kinds of birds (CUB-200-2011)",
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "CUB_200_2011.tgz",
        page="https://data.caltech.edu/records/65de6-vp158",
        licence="none in the archive; the photographs belong to their photographers, so ask before you share them",
        checksum="md5:97eceeb196236b17998738112f37df78",
        citation="Wah et al., Caltech-UCSD Birds-200-2011, CNS-TR-2011-001",
    ),
)


@cache
def medmnist() -> dict[str, dict]:
    """The two-dimensional sets of MedMNIST: checksums by size, licence, class names."""
    return json.loads((files("histoxplain.data") / "medmnist.json").read_text(encoding="utf-8"))


def medmnist_classes(stem: str) -> list[str] | None:
    """Class names of a MedMNIST file, by its name without the ending; None if it is not known.

    Example:
        >>> medmnist_classes("pneumoniamnist_64"), medmnist_classes("mine")
        (['normal', 'pneumonia'], None)
    """
    facts = medmnist().get(re.sub(r"_\d+$", "", stem.lower()))
    return None if facts is None else list(facts["classes"])


def names() -> list[str]:
    """Every name that `find` knows; MedMNIST's at 28 px."""
    return [entry.name for entry in CATALOGUE] + [f"medmnist:{name}" for name in medmnist()]


def find(name: str) -> Published:
    """A data set by name; MedMNIST's larger images as `medmnist:pathmnist_64`.

    Raises:
        InputError: if there is none; the message names the nearest one.

    Example:
        >>> find("medmnist:bloodmnist_128").file
        'bloodmnist_128.npz'
    """
    family, colon, member = name.partition(":")
    if family == "medmnist" and colon:
        return find_medmnist(member)
    check_one_of("name", name, names())
    return next(entry for entry in CATALOGUE if entry.name == name)


def find_medmnist(member: str) -> Published:
    """One of MedMNIST's files, such as `pathmnist` or `pathmnist_64`."""
    stem, _, size = member.partition("_")
    check_one_of("name", f"medmnist:{stem}", [f"medmnist:{name}" for name in medmnist()])
    check(size in {str(side) for side in SIZES} | {""}, "size", "be one of 28, 64, 128, 224", repr(size))
    facts, side = medmnist()[stem], size or "28"
    file = f"{stem}.npz" if side == "28" else f"{stem}_{side}.npz"
    return Published(
        f"medmnist:{Path(file).stem}",
        f"MedMNIST: {len(facts['classes'])} classes at {side} px",
        f"https://zenodo.org/records/10519652/files/{file}",
        file,
        page="https://zenodo.org/records/10519652",
        licence=facts["licence"],
        checksum=f"md5:{facts['md5'][side]}",
        citation="Yang et al., Scientific Data 2023, doi:10.1038/s41597-022-01721-8",
    )
