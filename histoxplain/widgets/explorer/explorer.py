"""Image, map, sliders, counterfactuals and measurements on one page: a view over a `Workbench`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histoxplain.widgets.explore_session import ExploreSession
from histoxplain.widgets.explorer.conductor import Conductor
from histoxplain.widgets.explorer.still import still_of
from histoxplain.widgets.specimen import Specimen, opened
from histoxplain.widgets.workbench import Workbench

if TYPE_CHECKING:
    from histoxplain.explain import Explanation
    from histoxplain.models import Bundle
    from histoxplain.widgets.place import Place
    from histoxplain.widgets.specimen import AnyImage


class Explorer:
    """Ask what would make an image another class, walk through latent space, and see what changes.

    Everything that takes time is computed beside the kernel; the newest wish is served, and errors appear in the
    widget. What is done from Python (`choose`, `ask`) is done when the call returns.

    Args:
        source: a bundle, whose map is then drawn (some tens of seconds), or an `ExploreSession`, or a `Workbench`.
        images: images to explain besides the points of the map: files, `Case`s, tensors, or `Specimen`s.
        side: size of each picture, in pixels.
        seed: fixes the map and every search.
        start: the point of the map to begin with, where there are no images.
        points: of the map, where one is drawn.

    Attributes:
        bench: what is explored; everything can be done and asked there as well.
        parts: the widgets: `stage`, `sliders`, `map`, `asking`, `region`, `saving`, `frame`.

    Raises:
        InputError: if the bundle has no generator, or an image cannot be read.
    """

    def __init__(
        self,
        source: Bundle | ExploreSession | Workbench,
        images: Sequence[AnyImage | Specimen] = (),
        side: int = 420,
        seed: int = 0,
        start: int = 0,
        points: int = 450,
    ) -> None:
        self.bench = source if isinstance(source, Workbench) else _bench(source, images, seed, start, points)
        self.parts = Conductor(self.bench, side)

    @property
    def place(self) -> Place:
        """Where the sliders stand."""
        return self.bench.state.place

    @property
    def point(self) -> int:
        """The point of the map."""
        return self.place.point

    def choose(self, point: int) -> None:
        """Go to a point of the map: the sliders jump to where they give its image.

        Raises:
            InputError: if there is no such point.
        """
        self.bench.choose(point)
        self.parts.refresh()

    def choose_image(self, image: int) -> None:
        """Go to one of the images.

        Raises:
            InputError: if there is no such image.
        """
        self.bench.choose_image(image)
        self.parts.refresh()

    def ask(self, target: str | None = None, count: int = 3, method: str = "latent") -> Explanation:
        """Look for answers, here and now, and show the first.

        Args:
            target: the class asked for; None takes the classifier's second choice.
            count: how many different answers.
            method: one of `hx.explain.METHODS` that the bundle has the networks for.

        Raises:
            InputError: if the class, count or method is not what was expected.
        """
        question = self.bench.question(target, count, method)
        explanation = self.bench.answers.explain(question)
        self.parts.asking.count.value = count
        self.parts.answered(question, wait=True)
        return explanation

    @property
    def widget(self) -> Any:
        """Everything, laid out."""
        return self.parts.frame.widget

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        still = still_of(self.bench, self.parts.map.colour.value, min(self.parts.side, 340), self.parts.stage.threshold)
        return {**self.widget._repr_mimebundle_(**kwargs), "text/plain": repr(self), "image/jpeg": still}

    def __repr__(self) -> str:
        where = self.bench.session.name(self.place).replace("-", " ")
        answer = "" if self.bench.state.walk is None else f", {self.bench.explanation}"
        points, directions = len(self.bench.session.latents), len(self.bench.session.directions)
        return f"Explorer({points} points, {directions} directions, at {where}{answer})"


def _bench(source: Any, images: Sequence[Any], seed: int, start: int, points: int) -> Workbench:
    bundle = source.bundle if isinstance(source, ExploreSession) else source
    specimens = [one if isinstance(one, Specimen) else opened(bundle, [one])[0] for one in images]
    if isinstance(source, ExploreSession):
        source.images += specimens
        return Workbench(source, seed, start)
    return Workbench(ExploreSession.start(bundle, points, seed=seed, images=specimens), seed, start)
