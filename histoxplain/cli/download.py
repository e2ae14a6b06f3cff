"""Fetch a published data set into a cache, check it, and record its terms; without a name, list what there is.

An interrupted download is resumed by the same command.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from histoxplain.data import Published


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain download`."""

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    """nct-crc-he, crc-val-he-7k, lc25000, chest-xray-pneumonia, cub-200, or medmnist:NAME such as
    medmnist:pathmnist (28 px) and medmnist:pathmnist_64 (64, 128 or 224 px)."""
    cache: Path | None = None
    """Folder to keep it in; by default HISTOXPLAIN_CACHE, or the usual place of this system."""

    def __call__(self) -> None:
        """Say the terms, fetch, and say what to do next."""
        from histoxplain.data.downloads import download
        from histoxplain.data.published import CATALOGUE, find, names

        if self.name is None:
            print("\n".join([*map(describe, CATALOGUE), "", *names()[len(CATALOGUE) :]]))
            return
        entry = find(self.name)
        print(describe(entry), flush=True)
        path = download(entry, self.cache)
        print(f"It lies in {path}; next: histoxplain prepare {path} DATA.lmdb --resolution 128")


def describe(entry: Published) -> str:
    """A data set as a few lines for people."""
    lines = [f"{entry.name}: {entry.title}", f"  terms: {entry.licence}", f"  from:  {entry.page}"]
    lines += [f"  cite:  {entry.citation}"] if entry.citation else []
    lines += [f"  note:  {entry.note}"] if entry.note else []
    unchecked = "  note:  no checksum of its publisher is known; the first download is recorded, later ones are checked"
    return "\n".join(lines if entry.checksum else [*lines, unchecked])
