"""What data a network was trained on, as one short text."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np

from histoxplain.data.source import Source
from histoxplain.data.transforms import to_uint8

LOOKED_AT = 256
"""Images whose pixels count; all of them in smaller sources."""


def fingerprint(source: Source) -> str:
    """A digest that tells data apart: "sha256:" and 64 hexadecimal digits.

    It covers the classes, every case's name, label, group and split, and the pixels of up to 256 images, evenly spread.

    Args:
        source: the data, as `open_source` gives it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from histoxplain.data import open_source
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (8, 8)).save(Path(folder) / "a.png")
        ...     fingerprint(open_source(folder))[:12]
        'sha256:...'
    """
    table = {"classes": source.class_names, "cases": [row.record() for row in source.rows]}
    digest = sha256(json.dumps(table, sort_keys=True).encode("utf-8", "surrogateescape"))
    for place in np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).round().astype(int)) if len(source) else ():
        pixels = to_uint8(source[int(place)].image)
        digest.update(repr(tuple(pixels.shape)).encode())
        digest.update(pixels.numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"
