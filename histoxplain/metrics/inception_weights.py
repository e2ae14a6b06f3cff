"""The published weights of FID's Inception: found on this machine, or fetched and checked."""

from __future__ import annotations

from pathlib import Path

import pooch
import torch

from histoxplain.data import Published, download
from histoxplain.data.downloads import cache_folder

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
WEIGHTS = Published(
    name="inception_v3-fid",
    title="InceptionV3 of 2015, whose features FID is measured in, ported by pytorch-fid, 95 MB",
    url=URL,
    file=FILE,
    page=URL,
    licence="Apache-2.0",
    checksum="sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    citation="Heusel et al., NeurIPS 2017, arXiv:1706.08500",
)
"""The SHA-256 begins with the digits in the file's name; torch-fidelity's copy of the file has the same."""
OTHER_NAME = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity and torchmetrics call the same file."""


def find_weights() -> Path | None:
    """The weights, if this machine has them: in our cache, or where torch keeps what others fetched.

    A file that is not the published one, by its SHA-256, is passed over. None if there is none; nothing is fetched.
    """
    ours, others = cache_folder() / WEIGHTS.name, Path(torch.hub.get_dir()) / "checkpoints"
    candidates = (ours / WEIGHTS.file, others / WEIGHTS.file, others / OTHER_NAME)
    return next((path for path in candidates if path.is_file() and is_published(path)), None)


def is_published(path: Path) -> bool:
    """Whether the SHA-256 of a file is that of the published weights."""
    return WEIGHTS.checksum == f"sha256:{pooch.file_hash(str(path))}"


def fetch_weights(progress: bool = True) -> Path:
    """The weights, from this machine or, once, from their publisher.

    Args:
        progress: whether to show a progress bar on stderr while they are fetched.

    Raises:
        InputError: if they are not here and cannot be fetched, or what came is not the published file; the message says
            what to fetch by hand and where to put it.
    """
    return find_weights() or download(WEIGHTS, progress=progress)


def how_to_get_weights() -> str:
    """One line for those who have no network: what to fetch by hand, and where to put it."""
    return f"fetch {WEIGHTS.page} and put {WEIGHTS.file} into {cache_folder() / WEIGHTS.name}"
