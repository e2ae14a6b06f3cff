"""Attributions as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoxplain._checks import check
from histoxplain.explain.attribution.colours import bar_table
from histoxplain.explain.attribution.methods import ATTRIBUTIONS
from histoxplain.viz.attribution import tick_words
from histoxplain.viz.page import bars_html, details_html, figure_html, legend_html, page_html, write_page
from histoxplain.viz.provenance import Provenance
from histoxplain.viz.trust import trust_sentence, trust_table

if TYPE_CHECKING:
    from histoxplain.explain import Attribution

TITLE = "Where did the classifier look?"
HOW = (
    "Each map says which parts of the image speak for a class, in the eyes of this classifier. The image lies in grey "
    "beneath it; where the map says nothing, the image is seen as it is. Methods measure different things: the words "
    "under each colour bar say what. A map shows where the classifier looked, not where disease is."
)
CAUTION = "A map that names the right place does not show that the classifier understood what lies there."
SURE = 0.05
"""By how much a map must beat hiding pixels in random order, in mean probability, for no doubt to be left."""


def write_attribution_report(
    attributions: Sequence[Attribution],
    path: str | Path,
    measured: Sequence[Mapping[str, float] | None] | None = None,
    title: str = TITLE,
    provenance: Provenance | None = None,
) -> Path:
    """Write the page; it appears whole or not at all.

    Args:
        attributions: what to show; those of one image stand together.
        path: the HTML file.
        measured: the `to_json()` of `hx.metrics.faithfulness` for each of them, or None.
        title: the headline.
        provenance: where it comes from, as `provenance_of` says it of a bundle.

    Returns:
        The path.

    Raises:
        InputError: if there is nothing to show.
    """
    check(len(attributions) > 0, "attributions", "hold at least one", "none", "attribute an image first")
    body = attribution_sections(attributions, measured)
    return write_page(path, page_html(title, HOW, body, caution=CAUTION, provenance=provenance))


def attribution_sections(
    attributions: Sequence[Attribution], measured: Sequence[Mapping[str, float] | None] | None = None
) -> str:
    """The part of the page about the images, as HTML, to stand in another page too; see `write_attribution_report`."""
    groups: dict[str, list[tuple[Attribution, Mapping[str, float] | None]]] = {}
    for one, found in zip(attributions, measured or [None] * len(attributions)):
        groups.setdefault(one.case_id, []).append((one, found))
    return "".join(_section(group) for group in groups.values())


def _section(group: list[tuple[Attribution, Mapping[str, float] | None]]) -> str:
    first = group[0][0]
    says = first.class_names[int(first.probabilities.argmax())]
    asked = escape(" and ".join(dict.fromkeys(one.target_name for one, _ in group)))
    picture = figure_html(first.original, f"the original image, to the classifier {says}")
    bars = bars_html(first.class_names, first.probabilities)
    columns, trust = "".join(_column(one) for one, _ in group), trust_of_maps(group)
    return f"""<section>
<p class="name">{escape(first.case_id)}</p>
<h2>The classifier says {escape(says)}. What speaks for {asked}?</h2>
{trust_sentence(trust)}
<div class="row"><div class="column"><h4>Original</h4>{picture}{bars}</div>{columns}</div>
{trust_table(trust)}
{_details(group)}
</section>
"""


def _column(one: Attribution) -> str:
    low, high = one.limits
    words = tick_words([low, high])
    ends = (f"against {words[0]}", f"for {words[1]}") if one.signed else words
    colours = ["{:02x}{:02x}{:02x}".format(*colour) for colour in bar_table(one.signed)[::16].tolist()]
    layer = f'<p class="note">of layer {escape(one.layer)}</p>' if one.layer else ""
    title = ATTRIBUTIONS[one.method].title
    picture = figure_html(one.overlay(), f"{title}: {one.meaning}; {_where(one)}")
    return f"""<div class="column"><h4>{title}</h4>{picture}
{legend_html(*ends, colours, short=True)}<p class="note">{escape(one.meaning)}</p>{layer}</div>"""


def _where(one: Attribution) -> str:
    """Where a map is largest, for those who do not see it."""
    place = int(one.map.argmax())
    row, column = place // one.map.shape[1], place % one.map.shape[1]
    thirds = [int(3 * at / size) for at, size in zip((row, column), one.map.shape)]
    words = (("top", "middle", "bottom")[thirds[0]], ("left", "centre", "right")[thirds[1]])
    return f"largest at the {words[0]} {words[1]}"


def trust_of_maps(group: Sequence[tuple[Attribution, Mapping[str, float] | None]]) -> dict[str, Any]:
    """How far to trust maps of one image, in the form of `Explanation.reliability`.

    Pixels that a map names must matter: hidden first, they must take away more of the probability than pixels in random
    order do, and shown first, bring more of it back.

    Args:
        group: maps, each with the `to_json()` of `hx.metrics.faithfulness`, or with None.
    """
    checks = [_check(one, found) for one, found in group]
    doubtful = [ATTRIBUTIONS[one.method].title for (one, _), check in zip(group, checks) if check["fine"] is False]
    if all(check["fine"] is None for check in checks):
        words = "Whether the pixels that these maps name matter to the classifier was not measured."
    elif doubtful:
        words = f"Do not trust {', '.join(doubtful)}: pixels in random order matter about as much as those it names."
    else:
        words = "No doubt found: what these maps name matters more to the classifier than pixels in random order."
    return {"sentence": words, "checks": checks}


def _check(one: Attribution, found: Mapping[str, float] | None) -> dict[str, Any]:
    question = f"{ATTRIBUTIONS[one.method].title}: do the pixels that it names matter?"
    if not found:
        return {"question": question, "answer": "not measured", "fine": None}
    lost = found["random_deletion"] - found["deletion"]
    won = found["insertion"] - found["random_insertion"]
    answer = (
        f"hidden first, they leave a mean probability of {found['deletion']:.2f} (in random order "
        f"{found['random_deletion']:.2f}); shown first, {found['insertion']:.2f} ({found['random_insertion']:.2f})"
    )
    return {"question": question, "answer": answer, "fine": lost + won > 2 * SURE}


def _details(group: list[tuple[Attribution, Mapping[str, float] | None]]) -> str:
    facts = {}
    for one, _ in group:
        given = {"paper": ATTRIBUTIONS[one.method].paper, "seconds": round(one.seconds, 2)} | one.settings
        facts[one.method] = ", ".join(f"{name} {value}" for name, value in given.items())
    return details_html("Methods and settings", facts)
