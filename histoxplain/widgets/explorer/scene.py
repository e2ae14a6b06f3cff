"""A state ready to be shown: everything that takes time, computed beside the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from histoxplain.widgets.change_picture import change_words
from histoxplain.widgets.explorer.stage import change_bytes
from histoxplain.widgets.explorer.words import opinion, opinions_html
from histoxplain.widgets.picture import jpeg, picture

if TYPE_CHECKING:
    from histoxplain.widgets.state import State
    from histoxplain.widgets.workbench import View, Workbench


@dataclass(frozen=True, eq=False)
class Scene:
    """What the widget shows of a state.

    Attributes:
        view: what is seen.
        stage: traits of `Stage`.
        bars: HTML.
        targets: classes that can be asked for.
        where: on the map.
    """

    view: View
    stage: dict[str, object]
    bars: str
    targets: list[str]
    where: tuple[float, float]
    answers: list[bytes] = field(default_factory=list)


def scene_of(bench: Workbench, state: State, side: int, threshold: float) -> Scene:
    """Compute what is shown of a state."""
    view, names = bench.see(state), bench.class_names
    title_now, title_before = titles(bench, state)
    said = [opinion(one, names) for one in (view.now, view.before)]
    words = change_words(view.change, threshold)
    stage = {
        "now": jpeg(picture(view.now.image, side)),
        "before": jpeg(picture(view.before.image, side)),
        "change": change_bytes(view.change, view.limit),
        "limit": view.limit,
        "title_now": f"{title_now}: {said[0]}",
        "title_before": f"{title_before}: {said[1]}",
        "title_change": "purple: darker, orange: lighter" if view.change.any() else "nothing changed yet",
        "alt_now": f"{title_now}. The classifier says {said[0]}.",
        "alt_before": f"{title_before}. The classifier says {said[1]}.",
        "alt_change": f"Map of change: {words}.",
    }
    whose = "range over two independent classifiers" if getattr(bench.session.bundle, "oracle", None) else "other views"
    bars = opinions_html(view.now, view.before.probabilities, names, whose)
    where = bench.session.latents.locate(view.now.w)
    return Scene(view, stage, bars, bench.targets(state), where)


def titles(bench: Workbench, state: State) -> tuple[str, str]:
    """What is seen, and what it is compared with, in a few words."""
    session, place = bench.session, state.place
    name = session.name(place).replace("-", " ")
    home = session.home(place) == place
    real = place.image is not None and session.images[place.image].ws is None
    if state.walk is not None:
        walk = state.walk
        way = "" if walk.at == 1 else f", {walk.at:.0%} of the way"
        now, before = f"answer {walk.which + 1}{way}" if walk.at else "start", "start"
    elif home:
        now, before = (f"{name}, redrawn", "the photograph") if real else (name, name)
    else:
        now, before = "as you moved it", f"{name}, redrawn" if real else name
    return now, "pinned" if state.pinned is not None else before
