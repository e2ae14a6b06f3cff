"""Put evaluations of several methods side by side: a table, and a PNG with intervals.

EVALUATION is a JSON file of `histoxplain evaluate`, one for each method, best made with the same DATA and --limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain compare`."""

    evaluations: Annotated[Positional[tuple[Path, ...]], arg(metavar="EVALUATION")]
    """JSON files of `histoxplain evaluate`."""
    out: Path = Path("outputs/comparison.png")
    """PNG to write; the table goes beside it as text."""

    def __call__(self) -> None:
        """Print the table, and draw it."""
        from histoxplain._atomic import replacing
        from histoxplain._checks import check
        from histoxplain.evaluation import Evaluation, comparison_table
        from histoxplain.viz import comparison_figure

        check(len(self.evaluations) > 0, "EVALUATION", "name at least one file", "none")
        check(not self.out.is_dir(), "out", "be a PNG file", f"the folder {self.out}", "name a file in it")
        found = [Evaluation.load(path) for path in self.evaluations]
        table = comparison_table(found)
        with replacing(self.out.with_suffix(".txt")) as part:
            part.write_text(table + "\n", encoding="utf-8")
        with replacing(self.out) as part:
            comparison_figure(found).savefig(part, dpi=150, format="png")
        print(f"{table}\n\n-> {self.out}, {self.out.with_suffix('.txt')}")
