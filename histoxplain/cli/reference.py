"""Measure what images of a bundle's own kind are like, so that explanations can say when an image is of another kind.

DATA is what the bundle's networks were trained on, best an LMDB made by `histoxplain prepare`: statistics of its
training split, and how far from these, and how hard to redraw, images of its validation split are. Writes
reference.safetensors into the bundle's folder. Measure again when the generator or the encoder has changed; a bundle
that only translates images has nothing to redraw with, and its reference says nothing about that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

FILE = "reference.safetensors"


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain reference`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Prepared LMDB, image folder, or what else `prepare` reads, with images of the bundle's resolution."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/, or its folder."""
    redrawn: int = 256
    """Images to redraw with the generator; 0 leaves its range unmeasured."""
    again: bool = False
    """Measure only the reconstructions again, after a new generator or encoder; what is known of the data stays."""
    fit: bool = False
    """Crop, resize and convert images of another size or kind instead of refusing them."""

    def __call__(self) -> None:
        """Measure, and write the file and its name into the bundle."""
        print(f"reference -> {add_reference(self.bundle, self.data, self.redrawn, self.fit, self.again)}")


def add_reference(bundle: str | Path, data: Path, redrawn: int = 256, fit: bool = False, again: bool = False) -> Path:
    """Measure a reference and put it into a bundle's folder; see `hx.explain.measure_reference`.

    Returns:
        The file.
    """
    from histoxplain._checks import check, check_at_least, check_exists
    from histoxplain.explain import measure_reference
    from histoxplain.models import load_bundle, save_reference, write_bundle

    check_exists("data", data)
    check_at_least("redrawn", redrawn, 0)
    loaded = load_bundle(bundle)
    kept = loaded.reference if again else None
    check(kept is not None or not again, "again", "find a reference in the bundle", "none", "leave it out")
    reference = measure_reference(loaded, data, redrawn=redrawn, fit=fit, kept=kept, progress=True)
    path = save_reference(loaded.path / FILE, reference)
    about = {key: value for key, value in loaded.info.items() if key not in ("format", "name", "files")}
    write_bundle(loaded.path, loaded.name, loaded.info["files"] | {"reference": FILE}, **about)
    return path
