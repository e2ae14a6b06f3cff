"""Python that shows again, without any widget, what an explorer shows."""

from __future__ import annotations

from base64 import b85encode
from typing import TYPE_CHECKING
from zlib import compress

from histoxplain._checks import check

if TYPE_CHECKING:
    from histoxplain.widgets.place import Place
    from histoxplain.widgets.state import Question
    from histoxplain.widgets.workbench import Workbench


def snippet_of(bench: Workbench) -> str:
    """Python that gives the same image, explanation and film, on the same machine to the bit.

    Raises:
        InputError: if the session was not made by `ExploreSession.start`, or from an image that no file holds.
    """
    session, state = bench.session, bench.state
    rule, way_out = "be made by `ExploreSession.start`", "only that can be written down"
    check(session.recipe is not None, "session", rule, "a map of unknown origin", way_out)
    arguments = ", ".join(f"{name}={value}" for name, value in session.recipe.items())
    arguments += ", images=images" * (state.place.image is not None)
    place = state.place
    lines = [
        "import histoxplain as hx",
        "",
        f"bundle = hx.load_bundle({session.bundle.name!r})",
        *_image(bench, place),
        f"session = hx.widgets.ExploreSession.start(bundle, {arguments})",
        f"place = {_place(place)}",
    ]
    if state.walk is None:
        lines += ["sight = session.at(place, interval=True)"]
    else:
        walk = state.walk
        lines += [
            f"answers = hx.widgets.Answers(session, seed={bench.answers.seed})",
            *_question(walk.question),
            "explanation = answers.explain(question)",
            f"sight = answers.sight(hx.widgets.Walk(question, which={walk.which}, at={walk.at!r}))",
        ]
    lines += ["print(dict(zip(bundle.class_names, sight.probabilities.tolist())))"]
    lines += ['hx.widgets.picture(sight.image, 512).save("now.png")']
    return "\n".join(lines) + "\n"


def _image(bench: Workbench, place: Place) -> list[str]:
    if place.image is None:
        return []
    specimen = bench.session.images[place.image]
    check(bool(specimen.recipe), "image", "come from a file or a generator", specimen.name, "save it and open the file")
    return [f"images = [{specimen.recipe}]"]


def _place(place: Place) -> str:
    """A place in Python; an opened image is the only one there."""
    parts = [f"point={place.point}", f"mix={place.mix}", f"truncation={place.truncation}", f"steps={place.steps}"]
    parts += [f"channels={place.channels}"] if place.channels else []
    parts += ["image=0"] if place.image is not None else []
    return f"hx.widgets.Place({', '.join(parts)})"


def _question(question: Question) -> list[str]:
    lines, mask = [], ""
    if question.mask:
        packed = b85encode(compress(question.mask, 9)).decode()
        lines += ["from base64 import b85decode", "from zlib import decompress", ""]
        lines += [f"mask = decompress(b85decode({packed!r}))"]
        mask = ", mask=mask"
    asked = f"{question.target!r}, count={question.count}{mask}, method={question.method!r}"
    return [*lines, f"question = hx.widgets.Question(place, {asked})"]
