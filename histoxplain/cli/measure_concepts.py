"""Measure a bundle's concepts on real images: do they predict, are they few, do pictures follow them?

DATA is an LMDB made by `histoxplain prepare`. Prints the measures of VisCoIN (Parekh et al., 2024) as JSON: fidelity,
accuracy, reconstructions, drops of the class's probability when concepts are removed, consistency and sparsity.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain measure concepts`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Prepared LMDB of the bundle's resolution."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/ that holds concepts, or its folder."""
    concepts: Path | None = None
    """Checkpoint of concepts for the bundle's networks, in place of the bundle's own."""
    split: str = "test"
    """Split to measure on."""
    limit: int | None = None
    """At most so many images, from all over the split; by default all."""
    seed: int = 0
    """Fixes which concepts are removed by chance."""
    out: Path | None = None
    """JSON file for the figures."""

    def __call__(self) -> None:
        """Measure, print, and write OUT if asked to."""
        from histoxplain._atomic import replacing
        from histoxplain._checks import check, check_at_least, check_exists
        from histoxplain.data import open_source
        from histoxplain.evaluation import measure_concepts
        from histoxplain.models import load_bundle, load_concepts
        from histoxplain.models.bundle import check_part

        check_exists("data", self.data)
        check_at_least("limit", 1 if self.limit is None else self.limit, 1)
        bundle = load_bundle(self.bundle)
        if self.concepts is None:
            check_part(bundle, "concepts", "its measures")
            model = bundle.concepts
        else:
            check_part(bundle, "generator", "concepts")
            model = load_concepts(self.concepts, bundle.classifier, bundle.generator, bundle.encoder)
        source = open_source(self.data, split=self.split)
        check(len(source) > 0, "split", "hold images", f"{self.split} without any")
        figures = measure_concepts(model, source, limit=self.limit, seed=self.seed, progress=True)
        text = json.dumps({"bundle": bundle.name, "data": self.data.name, "split": self.split, **figures}, indent=2)
        print(text)
        if self.out is not None:
            with replacing(self.out) as part:
                part.write_text(text + "\n", encoding="utf-8")
