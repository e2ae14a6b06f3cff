"""Explanations as one self-contained HTML page for people in a hurry."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from histoxplain import __version__
from histoxplain._atomic import replacing
from histoxplain._checks import check
from histoxplain.data import to_uint8
from histoxplain.explain.change import COLOURS, DARKER, LIGHTER, change_limit, paint_change
from histoxplain.explain.morphometry import compare_explanation
from histoxplain.explain.morphometry.yardstick import SMALLEST_SIDE
from histoxplain.viz.latent_map import class_colours
from histoxplain.viz.trust import trust_sentence, trust_table

if TYPE_CHECKING:
    from histoxplain.explain import Explanation, Film

QUESTION = "What would this tissue have to look like for the classifier to change its mind?"
WARNING = "For research use only. Not for diagnosis."
HOW = (
    "Each image below was given to the classifier. A generator that has learned what such tissue looks like then "
    "changed the image as little as it could until the classifier changed its mind. Hold the pointer (or a finger) on "
    "a changed image to see it before the change. The map beneath shows where it became darker or lighter."
)


def write_report(
    explanations: Sequence[Explanation],
    path: str | Path,
    films: Mapping[str, Film] | None = None,
    title: str = QUESTION,
) -> Path:
    """Write the page; it appears whole or not at all.

    Args:
        explanations: what to show, in this order.
        path: the HTML file.
        films: film strips by `case_id`, where there are any.
        title: the headline.

    Returns:
        The path.
    """
    with replacing(path) as part:
        part.write_text(report_html(explanations, films, title), encoding="utf-8")
    return Path(path)


def report_html(
    explanations: Sequence[Explanation], films: Mapping[str, Film] | None = None, title: str = QUESTION
) -> str:
    """The page as text, with every picture embedded; see `write_report`.

    Raises:
        InputError: if there is nothing to show.
    """
    check(len(explanations) > 0, "explanations", "hold at least one", "none", "explain an image first")
    css = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    films = films or {}
    sections = [_section(e, i, films.get(e.case_id)) for i, e in enumerate(explanations)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{HOW}</p>
<p class="warning">{WARNING}</p>
{_facts(explanations)}
{_contents(explanations)}
</header>
<main>
{"".join(sections)}
</main>
<footer>{WARNING} Made by histoxplain {__version__}. What a generator shows is what the classifier reacts to,
which need not be what disease looks like.</footer>
</body>
</html>
"""


def _facts(explanations: Sequence[Explanation]) -> str:
    counts = {
        "images": len(explanations),
        "opinion changed": f"{sum(bool(e.valid.any()) for e in explanations)} of {len(explanations)}",
        "ways shown": sum(len(e) for e in explanations),
        "seconds an image": f"{sum(e.seconds for e in explanations) / len(explanations):.1f}",
    }
    return f'<dl class="facts">{"".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in counts.items())}</dl>'


def _contents(explanations: Sequence[Explanation]) -> str:
    if len(explanations) < 2:
        return ""
    links = []
    for i, e in enumerate(explanations):
        words = f"{escape(e.class_names[e.source_class])} &rarr; {escape(e.class_names[e.target_class])}"
        links.append(f'<a href="#case-{i + 1}"><img src="{_embed(e.original)}" alt="">{words}</a>')
    return f"<nav>{''.join(links)}</nav>"


def _section(e: Explanation, index: int, film: Film | None) -> str:
    limit = change_limit(e.change)
    columns = [_before(e), *(_after(e, i, limit, words) for i, words in enumerate(_measured(e)))]
    source, target = (_class(e, k) for k in (e.source_class, e.target_class))
    return f"""<section id="case-{index + 1}">
<p class="name">{escape(e.case_id)}</p>
<h2>The classifier says {source}. What would make it say {target}?</h2>
<p class="answer">{_answer(e)}</p>
{trust_sentence(e.reliability)}
<div class="row">{"".join(columns)}</div>
{_legend() if len(e) else ""}
{trust_table(e.reliability)}
{_film(film) if film is not None else ""}
{_details(e)}
</section>
"""


def _answer(e: Explanation) -> str:
    valid, count, target = int(e.valid.sum()), len(e), escape(e.class_names[e.target_class])
    if not valid:
        return f"No change was found that convinces the classifier of {target}."
    best = float(e.probabilities_after[e.valid][:, e.target_class].max())
    before = float(e.probabilities_before[e.target_class])
    ways = "One change does" if count == 1 else f"{valid} of {count} different changes do"
    return f"{ways}: the probability of {target} rises from {before:.0%} to as much as {best:.0%}."


def _before(e: Explanation) -> str:
    rebuilt = ""
    if e.reconstruction is not None:
        note = "As the generator redraws it; the changes start from here."
        rebuilt = f'<h4>Redrawn</h4><figure class="picture">{_image(e.reconstruction, "the image redrawn")}</figure>'
        rebuilt += f'<p class="note">{note}</p>'
    picture = f'<figure class="picture">{_image(e.original, "the original image")}</figure>'
    return f'<div class="column"><h4>Original</h4>{picture}{_bars(e, e.probabilities_before)}{rebuilt}</div>'


def _measured(e: Explanation) -> list[str]:
    """What each counterfactual changed, in words; nothing of images too small to be measured."""
    if e.measurements is not None:
        return [one["sentence"] for one in e.measurements]
    if min(e.original.shape[1:]) < SMALLEST_SIDE:
        return [""] * len(e)
    return [comparison.sentence() for comparison in compare_explanation(e)]


def _after(e: Explanation, i: int, limit: float, words: str) -> str:
    after = _image(e.counterfactuals[i], f"counterfactual {i + 1}")
    before = _image(e.reference, "before the change", "before")
    badge = '<span class="badge">convinced</span>' if e.valid[i] else '<span class="badge no">not convinced</span>'
    change = f'<img src="{_embed(paint_change(e.change[i], limit))}" alt="where it became darker or lighter">'
    return f"""<div class="column"><h4>Change {i + 1} {badge}</h4>
<figure class="picture" tabindex="0">{after}{before}</figure>
{_bars(e, e.probabilities_after[i])}
<figure class="picture">{change}</figure>
<p class="note">{escape(words)}</p></div>"""


def _bars(e: Explanation, probabilities: Tensor) -> str:
    cells = []
    for k, (name, colour) in enumerate(class_colours(e.class_names).items()):
        p = float(probabilities[k])
        asked = ' class="asked"' if k == e.target_class else ""
        bar = f'<div class="bar"><i style="width:{100 * p:.1f}%;--colour:{colour}"></i></div>'
        cells.append(f"<p{asked}><span>{escape(name)}</span><b>{p:.0%}</b></p>{bar}")
    return f'<div class="bars">{"".join(cells)}</div>'


def _legend() -> str:
    stops = ",".join(f"#{colour}" for colour in COLOURS)
    return f'<div class="legend"><span>{DARKER}</span><i style="--stops:{stops}"></i><span>{LIGHTER}</span></div>'


def _film(film: Film) -> str:
    frames = []
    for frame, p in zip(film.frames, film.probabilities[:, film.target].tolist()):
        frames.append(f'<figure><img src="{_embed(frame, lossless=False)}" alt="">{p:.0%}</figure>')
    title = f"On the way to change 1, with the probability of {escape(film.class_names[film.target])}"
    return f'<h3>{title}</h3><div class="film">{"".join(frames)}</div>'


def _details(e: Explanation) -> str:
    facts: dict[str, Any] = {"method": e.method, "threshold": e.threshold, "seconds": round(e.seconds, 2), **e.settings}
    facts["mean absolute change"] = [round(value, 4) for value in e.l1.tolist()]
    rows = (f"<tr><td>{escape(k.replace('_', ' '))}</td><td>{escape(_words(v))}</td></tr>" for k, v in facts.items())
    return f"<details><summary>Method and settings</summary><table>{''.join(rows)}</table></details>"


def _words(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _class(e: Explanation, k: int) -> str:
    colour = list(class_colours(e.class_names).values())[k]
    return f'<span class="class" style="--colour:{colour}">{escape(e.class_names[k])}</span>'


def _image(x: Tensor, alt: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<img{attribute} src="{_embed(x)}" alt="{escape(alt)}">'


def _embed(image: Tensor | np.ndarray, lossless: bool = True) -> str:
    """A WebP data URI of `(C, H, W)` in `[-1, 1]` or uint8 `(H, W, 3)`."""
    if isinstance(image, Tensor):
        u8 = to_uint8(image.detach().cpu()).numpy()
        image = u8[0] if len(u8) == 1 else np.ascontiguousarray(u8.transpose(1, 2, 0))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=lossless, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
