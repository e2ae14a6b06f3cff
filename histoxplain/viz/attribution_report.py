"""Attributions as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from histoxplain import __version__
from histoxplain._atomic import replacing
from histoxplain._checks import check
from histoxplain.data import to_uint8
from histoxplain.explain.attribution.colours import bar_table
from histoxplain.explain.attribution.methods import ATTRIBUTIONS
from histoxplain.explain.record import data_uri
from histoxplain.viz.attribution import tick_words
from histoxplain.viz.latent_map import class_colours
from histoxplain.viz.report import WARNING

if TYPE_CHECKING:
    from histoxplain.explain import Attribution

TITLE = "Where did the classifier look?"
HOW = (
    "Each map says which parts of the image speak for a class, in the eyes of this classifier. The image lies in grey "
    "beneath it; where the map says nothing, the image is seen as it is. Methods measure different things: the words "
    "under each colour bar say what. A map shows where the classifier looked, not where disease is."
)
MEASURED = {
    "deletion": "mean probability while the named pixels are hidden first (small is good)",
    "insertion": "mean probability while the named pixels are shown first (large is good)",
    "random_deletion": "the same, hidden in random order",
    "random_insertion": "the same, shown in random order",
}


def write_attribution_report(
    attributions: Sequence[Attribution],
    path: str | Path,
    measured: Sequence[Mapping[str, float] | None] | None = None,
    title: str = TITLE,
) -> Path:
    """Write the page; it appears whole or not at all.

    Args:
        attributions: what to show; those of one image stand together.
        path: the HTML file.
        measured: the `to_json()` of `hx.metrics.faithfulness` for each of them, or None.
        title: the headline.

    Returns:
        The path.

    Raises:
        InputError: if there is nothing to show.
    """
    check(len(attributions) > 0, "attributions", "hold at least one", "none", "attribute an image first")
    css = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    groups: dict[str, list[tuple[Attribution, Mapping[str, float] | None]]] = {}
    for one, found in zip(attributions, measured or [None] * len(attributions)):
        groups.setdefault(one.case_id, []).append((one, found))
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
<header><h1>{escape(title)}</h1><p class="lead">{HOW}</p><p class="warning">{WARNING}</p></header>
<main>
{"".join(_section(group) for group in groups.values())}
</main>
<footer>{WARNING} Made by histoxplain {__version__}.</footer>
</body>
</html>
"""
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8")
    return Path(path)


def _section(group: list[tuple[Attribution, Mapping[str, float] | None]]) -> str:
    first = group[0][0]
    says = escape(first.class_names[int(first.probabilities.argmax())])
    asked = escape(" and ".join(dict.fromkeys(one.target_name for one, _ in group)))
    original = f'<div class="column"><h4>Original</h4>{_figure(_pixels(first), "the image")}{_bars(first)}</div>'
    return f"""<section>
<p class="name">{escape(first.case_id)}</p>
<h2>The classifier says {says}. What speaks for {asked}?</h2>
<div class="row">{original}{"".join(_column(one, found) for one, found in group)}</div>
{_details(group)}
</section>
"""


def _column(one: Attribution, found: Mapping[str, float] | None) -> str:
    low, high = one.limits
    words = tick_words([low, high])
    ends = (f"against {words[0]}", f"for {words[1]}") if one.signed else words
    stops = ",".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in bar_table(one.signed)[::16].tolist())
    bar = f'<i style="--stops:{stops};width:36px"></i>'
    legend = f'<div class="legend"><span>{ends[0]}</span>{bar}<span>{ends[1]}</span></div>'
    layer = f"<p class='note'>of layer {escape(one.layer)}</p>" if one.layer else ""
    areas = "".join(
        f"<p class='note'>{name.replace('_', ' ')} {value:.2f}</p>" for name, value in (found or {}).items()
    )
    title = ATTRIBUTIONS[one.method].title
    return f"""<div class="column"><h4>{title}</h4>{_figure(one.overlay(), f"{title}: {one.meaning}")}
{legend}<p class="note">{escape(one.meaning)}</p>{layer}{areas}</div>"""


def _figure(pixels: np.ndarray, words: str) -> str:
    return f'<figure class="picture"><img src="{data_uri(pixels)}" alt="{escape(words)}"></figure>'


def _pixels(one: Attribution) -> np.ndarray:
    u8 = to_uint8(one.original if len(one.original) == 3 else one.original[:1])
    return np.ascontiguousarray(u8.permute(1, 2, 0).numpy().squeeze())


def _bars(one: Attribution) -> str:
    cells = []
    for k, (name, colour) in enumerate(class_colours(one.class_names).items()):
        p = float(one.probabilities[k])
        bar = f'<div class="bar"><i style="width:{100 * min(max(p, 0), 1):.1f}%;--colour:{colour}"></i></div>'
        cells.append(f"<p><span>{escape(name)}</span><b>{p:.0%}</b></p>{bar}")
    return f'<div class="bars">{"".join(cells)}</div>'


def _details(group: list[tuple[Attribution, Mapping[str, float] | None]]) -> str:
    rows = [
        (one.method, {"paper": ATTRIBUTIONS[one.method].paper, "seconds": round(one.seconds, 2)} | one.settings)
        for one, _ in group
    ]
    cells = (f"<tr><td>{k}</td><td>{escape(', '.join(f'{a} {b}' for a, b in v.items()))}</td></tr>" for k, v in rows)
    key = "".join(f"<tr><td>{k.replace('_', ' ')}</td><td>{v}</td></tr>" for k, v in MEASURED.items())
    shown = key if any(found for _, found in group) else ""
    return f"<details><summary>Methods and settings</summary><table>{''.join(cells)}{shown}</table></details>"
