"""Show the concepts that a classifier looks for: which matter, which images have most of each, what more of it does.

Writes OUT/concepts.png, a row a concept; OUT/concepts.json, all concepts in order of importance, for all images and for
each class; and for every --image a sheet of its own concepts, turned down and up. --name gives concepts names, which
are kept in the bundle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from histoxplain.data import Source
    from histoxplain.explain import ConceptReading
    from histoxplain.models import Bundle

GENERATED = "generated"


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain concepts`."""

    data: Annotated[Positional[str], arg(metavar="DATA")] = GENERATED
    """Images to look for concepts in: prepared data, a folder of images, or "generated" for samples of the bundle's own
    generator."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/, or its folder; one with a concept model."""
    target: str | None = None
    """The class that concepts are to matter for; by default each image's own."""
    count: int = 6
    """How many concepts."""
    each: int = 3
    """Images a concept; each of another slide or patient, where that is known."""
    factor: tuple[float, ...] = (1.0, 4.0)
    """What to multiply a concept by; 1 is the image redrawn as it is."""
    image: tuple[Path, ...] = ()
    """Image files that get a sheet of their own concepts each."""
    limit: int = 300
    """Read so many images of DATA at most, spread over it."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """Which part of prepared data; auto is the test split where there is one."""
    out: Path = Path("outputs/concepts")
    """Folder to write to."""
    name: Annotated[tuple[str, ...], arg(metavar="CONCEPT=NAME")] = ()
    """Names to give, such as "concept 3=air spaces"; kept in the bundle, so that everybody who loads it sees them."""
    fit: bool = False
    """Crop, resize and convert images of another size or kind instead of refusing them."""
    seed: int = 0
    """Of generated images."""

    def __call__(self) -> None:
        """Name, read, draw, write, and say where."""
        from histoxplain._checks import check
        from histoxplain.cli.evaluate import open_split
        from histoxplain.cli.image_files import image_files, names_of
        from histoxplain.explain import concept_gallery, name_concepts, read_concepts
        from histoxplain.explain.concepts import concept_model
        from histoxplain.models import load_bundle
        from histoxplain.viz import concept_sheet

        check(not self.out.is_file(), "out", "be a folder", f"the file {self.out}", "choose another name")
        files = image_files(self.image)
        source = None if self.data == GENERATED else open_split(self.data, self.split)
        bundle = load_bundle(self.bundle)
        concept_model(bundle)
        if self.name:
            print(f"names -> {name_concepts(bundle, parse_names(self.name))}")
        images = self.images(bundle, source)
        reading = read_concepts(bundle, images, fit=self.fit)
        options = {"concepts": self.count, "each": self.each, "factors": self.factor, "fit": self.fit}
        gallery = concept_gallery(bundle, images, self.target, reading=reading, **options)
        save_figure(concept_sheet(gallery), self.out / "concepts.png")
        for file, name in zip(files, names_of(files)):
            save_figure(self.sheet(bundle, file), self.out / f"{name}.png")
        write_ranking(reading, self.out / "concepts.json")
        print(f"{table(reading, self.target, self.count)}\n\n-> {self.out}")

    def images(self, bundle: Bundle, source: Source | None) -> list[Any]:
        """`limit` images of the data, evenly spread, or generated ones."""
        from histoxplain._checks import check_at_least
        from histoxplain.explain import generated_cases

        check_at_least("limit", self.limit, 1)
        if source is None:
            return generated_cases(bundle, self.limit, self.seed)
        step = max(len(source) / self.limit, 1.0)
        return [source[int(i * step)] for i in range(min(self.limit, len(source)))]

    def sheet(self, bundle: Bundle, file: Path) -> Figure:
        """One image's concepts."""
        from histoxplain.explain import concepts_of_image
        from histoxplain.viz import image_concepts_sheet

        return image_concepts_sheet(concepts_of_image(bundle, file, self.target, concepts=self.count, fit=self.fit))


def parse_names(given: tuple[str, ...]) -> dict[int | str, str]:
    """Names by concept.

    Raises:
        InputError: if one is not CONCEPT=NAME.

    Example:
        >>> parse_names(("concept 3=air spaces", "concept 5="))
        {'concept 3': 'air spaces', 'concept 5': ''}
    """
    from histoxplain._checks import check

    for text in given:
        check("=" in text, "name", "be CONCEPT=NAME", repr(text), 'say, "concept 3=air spaces"')
    return {text.partition("=")[0].strip(): text.partition("=")[2].strip() for text in given}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    from histoxplain._atomic import replacing

    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)


def write_ranking(reading: ConceptReading, path: Path) -> None:
    """Write all concepts in order of importance, over all images and for each class."""
    from histoxplain._atomic import replacing

    ranked = {"all": reading.ranked()} | {name: reading.ranked(name) for name in reading.class_names}
    content = {
        "images": len(reading),
        "fidelity": reading.fidelity,
        "ranked": {name: [vars(one) for one in some] for name, some in ranked.items()},
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def table(reading: ConceptReading, target: str | None, count: int) -> str:
    """The first concepts as lines for people."""
    rows = reading.ranked(target)[:count]
    width = max(len(row.name) for row in rows)
    whose = f"for {target}" if target is not None else "for each image's own class"
    lines = [f"{len(reading)} images; the concepts alone say what the classifier says of {reading.fidelity:.1%}"]
    lines += [f"most important {whose}:"]
    lines += [
        f"  {one.name:<{width}}  importance {one.importance:+.2f}, weight {one.weight:+.2f}, in {one.share:.0%} of them"
        for one in rows
    ]
    return "\n".join(lines)
