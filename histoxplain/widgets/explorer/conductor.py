"""Who does what: moves of the hand to the workbench, what is seen back to the page; slow work beside the kernel."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from histoxplain._checks import InputError, check
from histoxplain.widgets.channels import telling_channels
from histoxplain.widgets.explorer.asking import Asking, Region
from histoxplain.widgets.explorer.frame import Frame
from histoxplain.widgets.explorer.mapping import SHOWN, Mapping
from histoxplain.widgets.explorer.saving import Saving
from histoxplain.widgets.explorer.scene import Scene, scene_of
from histoxplain.widgets.explorer.sliders import Sliders
from histoxplain.widgets.explorer.words import measured_html
from histoxplain.widgets.exports import export
from histoxplain.widgets.lane import Lane
from histoxplain.widgets.picture import jpeg, picture

if TYPE_CHECKING:
    from histoxplain.widgets.place import Place
    from histoxplain.widgets.specimen import Specimen
    from histoxplain.widgets.state import Question
    from histoxplain.widgets.workbench import Workbench

THUMB = 120
"""Pixels of a small picture's side."""


class Conductor:
    """Ties the page to a workbench.

    Args:
        bench: what is explored.
        side: size of each picture, in pixels.
    """

    def __init__(self, bench: Workbench, side: int) -> None:
        self.bench, self.session, self.side = bench, bench.session, side
        self.question: Question | None = None
        self.scene: Scene | None = None
        self._deaf = False
        self.asking = Asking(bench.answers.methods, lambda: self.wish("ask"), self._stop)
        self.frame = Frame(side, bench.resolution)
        self.stage, self.message = self.frame.stage, self.frame.message
        report = self.message.report
        self._drawing, self._measuring, self._searching = Lane(report), Lane(report), Lane(report, self.asking.work)
        self.map = Mapping(self.session.latents, self._clicked, self._lassoed)
        self.sliders = Sliders(self.session, self._moved, self._suggest)
        self.region = Region(self.stage, self.asking.method, self._painted)
        self.saving = Saving(self._save)
        tabs = {"Map": self.map.widget, "Sliders": self.sliders.widget, "Region": self.region.widget}
        self.frame.lay_out(self.asking.parts, tabs | {"What changed": self.frame.measured, "Save": self.saving.widget})
        self._listen()
        self.refresh()

    def _listen(self) -> None:
        frame = self.frame
        self._acts = {
            "undo": lambda: self._go(self.bench.history.undo),
            "redo": lambda: self._go(self.bench.history.redo),
            "pin": lambda: self._go(self.bench.pin),
            "reset": lambda: self._go(self.bench.reset),
            "ask": self._ask,
            "stop": self._escape,
            "brush": lambda: setattr(self.stage, "brush", not self.stage.brush),
            "back": lambda: setattr(frame.walk, "value", frame.walk.value - 1),
            "forth": lambda: setattr(frame.walk, "value", frame.walk.value + 1),
            "previous": lambda: self._answer(frame.strip.chosen - 1),
            "next": lambda: self._answer(frame.strip.chosen + 1),
        } | {str(i): lambda i=i: self._answer(i) for i in range(10)}
        for name in ("undo", "redo", "reset", "pin"):
            getattr(frame, name).on_click(lambda _, name=name: self.wish(name))
        self.stage.on_wish(self.wish)
        self.stage.observe(lambda change: self.map.view.darken(change["new"]), "dark")
        frame.strip.observe(self._picked, "chosen")
        frame.walk.observe(self._walked, "value")
        frame.image.observe(self._imaged, "value")
        frame.upload.observe(self._uploaded, "value")
        frame.tabs.observe(lambda _: self._measure(), "selected_index")

    def refresh(self) -> None:
        """Show the present state, here and now."""
        self._drawing.now(self._compute(), self._show)

    def _draw(self) -> None:
        """Show the present state as soon as possible."""
        self._drawing(self._compute(), self._show)

    def _compute(self) -> Any:
        return lambda state=self.bench.state: scene_of(self.bench, state, self.side, self.stage.threshold)

    def _show(self, scene: Scene) -> None:
        self.scene, state, self._deaf = scene, scene.view.state, True
        with self.stage.hold_sync():
            for name, value in scene.stage.items():
                setattr(self.stage, name, value)
        self.frame.bars.value = scene.bars
        self.map.view.mark(scene.where)
        self.asking.show(scene.targets)
        if state == self.bench.state:  # else newer moves are on their way, and the sliders stay where the hand is
            self.sliders.show(state.place)
            self.region.show(state.mask)
            self.frame.show(self.bench, self.question)
        self.saving.clear()
        self._deaf = False
        self._measure()

    def wish(self, name: str) -> None:
        """What a button or a key asks for."""
        self._drawing.now(lambda: None, lambda _: self._acts.get(name, lambda: None)())

    def _go(self, move: Any) -> None:
        try:
            move()
        except InputError as error:
            self.message.report(error)
            return
        walk = self.bench.state.walk
        self.question = walk.question if walk is not None else self.question
        self._draw()

    def _forget(self) -> None:
        """Answers about one image say nothing about another."""
        self.question = None
        self.message.tell("")

    def _moved(self, place: Place, slider: Hashable) -> None:
        self._go(lambda: self.bench.move(place, slider))

    def _clicked(self, point: int) -> None:
        self._forget()
        self._go(lambda: self.bench.choose(point))

    def _painted(self, mask: bytes) -> None:
        self._go(lambda: self.bench.allow(mask))

    def _lassoed(self, points: list[int]) -> None:
        def draw() -> list[bytes]:
            sights = [self.session.at(self.session.place(i)) for i in points[:SHOWN]]
            return [jpeg(picture(one.image, THUMB)) for one in sights]

        self._measuring(draw, lambda pictures: self.map.show_lassoed(points, pictures))

    def _ask(self) -> None:
        asking = self.asking
        question = self.bench.question(asking.target.value, asking.count.value, asking.method.value)
        self.message.tell(f"Looking for {question.count} ways to {question.target} ...", busy=True)

        def search() -> Question:
            explanation = self.bench.answers.explain(question)
            for which in range(len(explanation)):
                self.bench.answers.film(question, which)
            return question

        self._searching(search, self.answered)

    def answered(self, question: Question, wait: bool = False) -> None:
        """Show what was found, and go to the first answer.

        Args:
            question: what was asked.
            wait: show it before returning.
        """
        explanation = self.bench.answers.explain(question)
        check(len(explanation) > 0, "target", "be reachable", f"no way to {question.target} found", "try another class")
        self.question = question
        trusted = (explanation.reliability or {}).get("sentence", "")
        self.message.tell(trusted)
        self.bench.take(question)
        self.frame.offer(explanation, THUMB)
        self.refresh() if wait else self._draw()

    def _stop(self) -> None:
        self._searching.stop()
        self.asking.work(False)
        self.message.tell("Stopped; nothing was changed.")

    def _escape(self) -> None:
        self.stage.brush = False
        if self.asking.busy:
            self._stop()

    def _picked(self, change: dict[str, Any]) -> None:
        if not self._deaf:
            self._answer(change["new"])

    def _answer(self, number: int) -> None:
        """The start of the walk for 0, else an answer."""
        if self.question is None or not 0 <= number < len(self.frame.strip.pictures):
            return
        which, at = (max(number - 1, 0), float(number > 0))
        self._go(lambda: self.bench.take(self.question, which, at))

    def _walked(self, change: dict[str, Any]) -> None:
        walk = self.bench.state.walk
        if not self._deaf and self.question is not None:
            which = walk.which if walk is not None else 0
            at = change["new"] / self.frame.walk.max
            self._go(lambda: self.bench.take(self.question, which, at))

    def _imaged(self, change: dict[str, Any]) -> None:
        if not self._deaf and change["new"] is not None:
            self._forget()
            image = change["new"]
            self._go(lambda: self.bench.choose(0) if image < 0 else self.bench.choose_image(image))

    def _uploaded(self, change: dict[str, Any]) -> None:
        files = change["new"]
        if files:
            self.frame.upload.value = ()
            self._searching(lambda: self.frame.read(files, self.session.bundle), self._opened)

    def _opened(self, specimens: list[Specimen]) -> None:
        self.session.images += specimens
        self._forget()
        self._go(lambda: self.bench.choose_image(len(self.session.images) - 1))

    def _suggest(self) -> None:
        place, target = self.bench.state.place, self.asking.target.value
        self.message.tell(f"Looking for channels that lead to {target} ...", busy=True)

        def show(found: list[tuple[str, int, float]]) -> None:
            self.message.tell(f"Towards {target}: " + ", ".join(f"{layer} {channel}" for layer, channel, _ in found))
            for layer, channel, _ in found:
                self.sliders.add(layer, channel)

        self._searching(lambda: telling_channels(self.session, place, target), show)

    def _measure(self) -> None:
        """Fill the table, while it is open."""
        if self.frame.measuring and self.scene is not None:
            state = self.bench.state
            self._measuring(lambda: self.bench.measure(state), self._measured)

    def _measured(self, comparison: Any) -> None:
        self.frame.measured.value = measured_html(comparison)

    def _save(self, kind: str) -> None:
        self.message.tell("Writing ...", busy=True)
        look = {"threshold": self.stage.threshold, "blend": self.stage.blend}

        def show(content: bytes) -> None:
            self.message.tell("")
            self.saving.show(kind, content)

        self._measuring(lambda: export(self.bench, kind, **look), show)
