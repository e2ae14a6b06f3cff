"""Explanations as one self-contained HTML page for people in a hurry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from histoxplain._checks import check
from histoxplain.explain.change import COLOURS, DARKER, LIGHTER, change_limit, paint_change
from histoxplain.explain.morphometry import compare_explanation
from histoxplain.explain.morphometry.yardstick import SMALLEST_SIDE
from histoxplain.viz.attribution_report import attribution_sections
from histoxplain.viz.latent_map import class_colours
from histoxplain.viz.page import bars_html, details_html, figure_html, image_html, legend_html, page_html, write_page
from histoxplain.viz.provenance import Provenance
from histoxplain.viz.trust import trust_sentence, trust_table

if TYPE_CHECKING:
    from histoxplain.explain import Attribution, Explanation, Film

QUESTION = "What would this tissue have to look like for the classifier to change its mind?"
HOW = (
    "Each image below was given to the classifier. A network that has learned what such images look like then changed "
    "the image as little as it could until the classifier changed its mind. Hold the pointer (or a finger) on a "
    "changed image to see it before the change. The map beneath shows where it became darker or lighter."
)
VISIBLE = 0.04
"""A change of brightness, in parts of the full range, that words count; some 10 of 255 levels."""
CAUTION = (
    "What a generator shows is what the classifier reacts to, which need not be what disease looks like. That no doubt "
    "was found does not prove an explanation."
)


def write_report(
    explanations: Sequence[Explanation],
    path: str | Path,
    films: Mapping[str, Film] | None = None,
    title: str | None = None,
    provenance: Provenance | None = None,
) -> Path:
    """Write the page; it appears whole or not at all. An image and four changes of it print on two A4 pages.

    Args:
        explanations: what to show, in this order.
        path: the HTML file.
        films: film strips by `case_id`, where there are any.
        title: the headline; by default `QUESTION`, which says "image" for "tissue" where the images are grey.
        provenance: where it comes from, as `provenance_of` says it of a bundle.

    Returns:
        The path.
    """
    return write_page(path, report_html(explanations, films, title, provenance))


def report_html(
    explanations: Sequence[Explanation],
    films: Mapping[str, Film] | None = None,
    title: str | None = None,
    provenance: Provenance | None = None,
    attributions: Sequence[Attribution] = (),
) -> str:
    """The page as text, with every picture embedded; see `write_report`.

    Args:
        explanations: see `write_report`.
        films: see `write_report`.
        title: see `write_report`.
        provenance: see `write_report`.
        attributions: where the classifier looked, to be shown below.

    Raises:
        InputError: if there is nothing to show.
    """
    check(len(explanations) > 0, "explanations", "hold at least one", "none", "explain an image first")
    films = films or {}
    if title is None:
        title = QUESTION if len(explanations[0].original) > 1 else QUESTION.replace("tissue", "image")
    body = "".join(_section(e, i, films.get(e.case_id)) for i, e in enumerate(explanations))
    body += attribution_sections(attributions)
    return page_html(title, HOW, body, _facts(explanations) + _contents(explanations), CAUTION, provenance)


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
        links.append(f'<a href="#case-{i + 1}">{image_html(e.original, "")}{words}</a>')
    return f'<nav aria-label="images">{"".join(links)}</nav>'


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
{_legend(e) if len(e) else ""}
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
        rebuilt = f"<h4>Redrawn</h4>{figure_html(e.reconstruction, 'the original image as the generator redraws it')}"
        rebuilt += f'<p class="note">{note}</p>'
    picture = figure_html(e.original, f"the original image, to the classifier {_said(e, e.probabilities_before)}")
    bars = bars_html(e.class_names, e.probabilities_before, e.target_class)
    return f'<div class="column"><h4>Original</h4>{picture}{bars}{rebuilt}</div>'


def _said(e: Explanation, probabilities: Tensor) -> str:
    """The classifier's opinion, for those who do not see the bars."""
    k = int(probabilities.argmax())
    return f"{e.class_names[k]} with a probability of {float(probabilities[k]):.0%}"


def _measured(e: Explanation) -> list[str]:
    """What each counterfactual changed, in words; nothing of images too small to be measured."""
    if e.measurements is not None:
        return [one["sentence"] for one in e.measurements]
    if min(e.original.shape[1:]) < SMALLEST_SIDE:
        return [""] * len(e)
    return [comparison.sentence() for comparison in compare_explanation(e)]


def _after(e: Explanation, i: int, limit: float, words: str) -> str:
    said = f"change {i + 1}, to the classifier {_said(e, e.probabilities_after[i])}"
    after, before = image_html(e.counterfactuals[i], said), image_html(e.reference, "before the change", "before")
    badge = '<span class="badge">convinced</span>' if e.valid[i] else '<span class="badge no">not convinced</span>'
    change = figure_html(paint_change(e.change[i], limit), f"map of change {i + 1}: {_where(e.change[i])}")
    return f"""<div class="column"><h4>Change {i + 1} {badge}</h4>
<figure class="picture" tabindex="0">{after}{before}</figure>
{bars_html(e.class_names, e.probabilities_after[i], e.target_class)}
{change}
<p class="note">{escape(words)}</p></div>"""


def _where(change: Tensor) -> str:
    """A change map for those who do not see it.

    Example:
        >>> import torch
        >>> _where(torch.tensor([[0.2, -0.2], [0.0, -0.1]]))
        'darker in 50 % of the image, lighter in 25 %'
    """
    darker, lighter = (float((sign * change > VISIBLE).float().mean()) for sign in (-1, 1))
    return f"darker in {100 * darker:.0f} % of the image, lighter in {100 * lighter:.0f} %"


def _legend(e: Explanation) -> str:
    return legend_html(DARKER if len(e.original) > 1 else "darker", LIGHTER, COLOURS)


def _film(film: Film) -> str:
    frames = []
    for i, (frame, p) in enumerate(zip(film.frames, film.probabilities[:, film.target].tolist())):
        picture = image_html(frame, f"step {i + 1} of {len(film)}", lossless=False)
        frames.append(f"<figure>{picture}{p:.0%}</figure>")
    title = f"On the way to change 1, with the probability of {escape(film.class_names[film.target])}"
    return f'<h3>{title}</h3><div class="film">{"".join(frames)}</div>'


def _details(e: Explanation) -> str:
    facts: dict[str, Any] = {"method": e.method, "threshold": e.threshold, "seconds": round(e.seconds, 2), **e.settings}
    facts["mean absolute change"] = [round(value, 4) for value in e.l1.tolist()]
    return details_html("Method and settings", {k.replace("_", " "): _words(v) for k, v in facts.items()})


def _words(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _class(e: Explanation, k: int) -> str:
    colour = list(class_colours(e.class_names).values())[k]
    return f'<span class="class" style="--colour:{colour}">{escape(e.class_names[k])}</span>'
