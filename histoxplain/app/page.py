"""The web page: choose an image, ask, look, take the report away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from histoxplain._checks import InputError
from histoxplain._optional import require
from histoxplain.app.answers import MOST, answer, maps_for, opinion, ways_for
from histoxplain.app.desk import BusyError, Desk, LateError
from histoxplain.app.look import PLACEHOLDER, PRINT, SAVE, framed
from histoxplain.app.pictures import SUFFIXES, Limits, Picture, example_picture, read_picture
from histoxplain.app.words import OURS, plain
from histoxplain.viz.page import WARNING, image_html

if TYPE_CHECKING:
    from histoxplain.app.shelf import Shelf
    from histoxplain.models import Bundle

T = TypeVar("T")
TITLE = "What would this image have to look like for the classifier to change its mind?"
RUNNER_UP = "whatever is next most likely"
KEPT = 3600
"""Seconds that a visitor's image is remembered; only in memory."""


@dataclass(frozen=True)
class Offer:
    """What the page lets people choose with a bundle; choices are pairs of words and value."""

    names: list[str]
    ways: list[tuple[str, str]]
    maps: list[tuple[str, str]]
    draws: bool

    @classmethod
    def of(cls, bundle: Bundle) -> Offer:
        """The offer of a bundle."""
        ways, maps = ([(words, name) for name, words in made(bundle).items()] for made in (ways_for, maps_for))
        return cls(list(bundle.class_names), ways, maps, bundle.generator is not None)


class Visit:
    """What happens when somebody presses a button; every method is one event of the page.

    Args:
        shelf: the bundles.
        desk: lets one question be worked on at a time.
        limits: how large files may be.
    """

    def __init__(self, shelf: Shelf, desk: Desk, limits: Limits) -> None:
        self.gr = require("gradio", extra="app")
        self.shelf, self.desk, self.limits = shelf, desk, limits

    def asked(self, work: Callable[[], T]) -> T:
        """The result of work at the desk; whatever goes wrong becomes a message on the page."""
        try:
            return self.desk.ask(work)
        except (InputError, ImportError, BusyError, LateError) as error:
            raise self.gr.Error(plain(error), duration=None, print_exception=False) from error
        except Exception as error:
            logging.getLogger(__name__).exception("a question could not be answered")
            raise self.gr.Error(OURS, duration=None, print_exception=False) from error

    def choose(self, name: str) -> tuple[Any, ...]:
        """Another bundle: other classes and methods, and no image yet."""
        offered = self.asked(lambda: Offer.of(self.shelf.take(name)))
        update, shown = self.gr.update, {"visible": offered.draws}
        methods, maps = update(choices=offered.ways, value=offered.ways[0][1]), update(choices=offered.maps)
        maps |= {"value": [value for _, value in offered.maps[:1]]}
        examples = update(choices=offered.names, value=offered.names[0], **shown)
        nobody = (None, "", update(value=None, visible=False), self.targets(offered.names), update(interactive=False))
        return methods, maps, examples, update(**shown), *nobody, *self.unanswered()

    def targets(self, names: list[str]) -> Any:
        """The choice of what to ask for."""
        choices = [(RUNNER_UP, ""), *((name, name) for name in names)]
        return self.gr.update(choices=choices, value="")

    def take(self, file: str | None, name: str) -> tuple[Any, ...]:
        """A file came: read it, delete it, and say what the classifier thinks; the place for files is free again."""
        if file is None:
            raise self.gr.Error("No file arrived.", print_exception=False)
        try:
            return None, *self.shown(name, lambda bundle: read_picture(file, bundle, limits=self.limits))
        finally:
            Path(file).unlink(missing_ok=True)

    def example(self, name: str, label: str, seed: int) -> tuple[Any, ...]:
        """A generated image of a class; the next click draws another."""
        return seed + 1, *self.shown(name, lambda bundle: example_picture(bundle, label, seed))

    def shown(self, name: str, make: Callable[[Any], Picture]) -> tuple[Any, ...]:
        """A picture, what is known of it, and what may be asked of it."""

        def look() -> tuple[Picture, dict[str, float]]:
            bundle = self.shelf.take(name)
            picture = make(bundle)
            return picture, opinion(bundle, picture)

        picture, p = self.asked(look)
        said = max(p, key=p.get)
        alt = f"{picture.name}, to the classifier {said}"
        words = f"<p><b>{escape(picture.name)}</b></p><p>{escape(picture.note)}</p>"
        html = f'<div class="hx-preview">{image_html(picture.image, alt)}{words}</div>'
        others = self.targets([one for one in p if one != said])
        ready = self.gr.update(interactive=True)
        return picture, html, self.gr.update(value=p, visible=True), others, ready, *self.unanswered()

    def unanswered(self) -> tuple[Any, ...]:
        """No answer, since the last one was about another image, and nothing to take away."""
        return PLACEHOLDER, self.gr.update(visible=False), self.gr.update(visible=False)

    def explain(
        self, name: str, picture: Picture | None, target: str, method: str, count: int, maps: list[str], tell: Any
    ) -> tuple[Any, ...]:
        """The question: a report inside the page, and buttons to take it away."""
        if picture is None:
            raise self.gr.Error("Choose an image first.", print_exception=False)

        def work() -> str:
            bundle = self.shelf.take(name)
            way = method if method in ways_for(bundle) else None  # of a bundle that was shown before
            looks = [one for one in maps if one in maps_for(bundle)]
            return answer(bundle, picture, target or None, way, int(count), maps=looks, tell=tell).report

        tell(0.0, "Waiting for the others")
        page = framed(self.asked(work))
        return page, self.gr.update(visible=True), self.gr.update(visible=True)


def make_page(shelf: Shelf, desk: Desk, limits: Limits | None = None) -> Any:
    """The page, as gradio blocks.

    Args:
        shelf: the bundles.
        desk: lets one question be worked on at a time.
        limits: how large files may be.

    Raises:
        ImportError: if gradio is not installed; the message says how to install it.
    """
    gr = require("gradio", extra="app")
    limits = limits or Limits()
    visit, titles = Visit(shelf, desk, limits), shelf.titles
    first = Offer.of(shelf.take(next(iter(titles))))
    with gr.Blocks(title="histoxplain", analytics_enabled=False, delete_cache=(60, 300)) as page:
        gr.HTML(f'<h1>{TITLE}</h1><p class="hx-warning">{WARNING}</p>')
        picture = gr.State(None, time_to_live=KEPT)
        draws = gr.State(0)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                kind = gr.Dropdown(
                    [(t, n) for n, t in titles.items()], label="What does your image show?", elem_classes="hx-choice"
                )
                kinds = f"PNG, JPEG, TIFF or DICOM, up to {limits.megabytes:g} MB. It is deleted once it was read."
                file = gr.File(label="Your image", file_types=list(SUFFIXES), height=130, elem_classes="hx-file")
                gr.HTML(f'<p class="hx-note">{kinds}</p>', padding=False)
                names, shown = first.names, first.draws
                label = gr.Dropdown(
                    names, value=names[0], label="Or an example of", visible=shown, elem_classes="hx-choice"
                )
                draw = gr.Button("Show an example", visible=shown, size="sm")
                preview = gr.HTML("", container=False)
                said = gr.Label(label="The classifier says", visible=False, num_top_classes=5)
                target = gr.Dropdown(
                    visit.targets(first.names)["choices"], value="", label="What should it say instead?"
                )
                count = gr.Slider(1, MOST, value=2, step=1, label="How many different changes?")
                with gr.Accordion("More choices", open=False):
                    method = gr.Radio(first.ways, value=first.ways[0][1], label="How may the image change?")
                    start = [name for _, name in first.maps[:1]]
                    maps = gr.CheckboxGroup(first.maps, value=start, label="Show where the classifier looked")
                ask = gr.Button("Show me", variant="primary", interactive=False)
            with gr.Column(scale=3, min_width=480):
                result = gr.HTML(PLACEHOLDER, elem_classes="hx-answer", padding=False)
                with gr.Row():
                    save = gr.Button("Save the report", visible=False)
                    paper = gr.Button("Print it, or save as PDF", visible=False)

        def explain(
            name: str,
            given: Picture | None,
            goal: str,
            way: str,
            number: int,
            looks: list[str],
            progress: Any = gr.Progress(),  # noqa: B008 (that is how gradio finds it)
        ) -> tuple[Any, ...]:
            return visit.explain(name, given, goal, way, number, looks, progress)

        known = [picture, preview, said, target, ask, result, save, paper]
        quiet = {"api_visibility": "private"}
        chosen = [method, maps, label, draw, *known]
        kind.change(visit.choose, kind, chosen, show_progress="hidden", trigger_mode="always_last", **quiet)
        looked = {"show_progress_on": preview, **quiet}
        file.upload(visit.take, [file, kind], [file, *known], **looked)
        draw.click(visit.example, [kind, label, draws], [draws, *known], **looked)
        inputs = [kind, picture, target, method, count, maps]
        ask.click(
            explain, inputs, [result, save, paper], show_progress_on=[result, ask], scroll_to_output=True, **quiet
        )
        save.click(None, js=SAVE, **quiet)
        paper.click(None, js=PRINT, **quiet)
    return page.queue(max_size=desk.waiting + 1, default_concurrency_limit=desk.waiting + 1)
