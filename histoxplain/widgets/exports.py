"""What can be taken away: pictures, films, an explanation with its report, and the Python that makes them again."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch
from PIL import Image

from histoxplain._checks import InputError, check, check_one_of
from histoxplain._optional import require
from histoxplain.explain import Film, with_measurements
from histoxplain.viz import provenance_of, write_report
from histoxplain.widgets.answers import FRAMES
from histoxplain.widgets.change_picture import change_over, change_words
from histoxplain.widgets.picture import beside, enlarged, picture
from histoxplain.widgets.snippet import snippet_of

if TYPE_CHECKING:
    from histoxplain.widgets.workbench import Workbench

KINDS = {
    "picture": "picture.png",
    "explanation": "explanation.zip",
    "GIF": "walk.gif",
    "MP4": "walk.mp4",
    "Python": "reproduce.py",
}
"""What can be taken away, and the names of the files."""
SIDE, FILM_SIDE, RATE = 512, 320, 10
"""Pixels of a picture's side and of a film's, and frames of a film in a second."""


def export(bench: Workbench, kind: str, threshold: float = 0.05, blend: float = 0.75) -> bytes:
    """A file's content.

    Args:
        bench: where one stands.
        kind: one of `KINDS`.
        threshold: of the change map; see `change_over`.
        blend: of the change map.

    Raises:
        InputError: if there is nothing to show: no way walked, or no answer to explain.
        ImportError: if MP4 is asked for without PyAV, with the command that installs it.
    """
    check_one_of("kind", kind, KINDS)
    if kind == "picture":
        return picture_png(bench, threshold, blend)
    if kind == "Python":
        return snippet_of(bench).encode()
    if kind == "explanation":
        return explanation_zip(bench)
    return (film_gif if kind == "GIF" else film_mp4)(path(bench))


def picture_png(bench: Workbench, threshold: float, blend: float) -> bytes:
    """Before, now and the change in a row, with the classifier's opinions, as PNG."""
    view, names = bench.see(), bench.class_names
    said = [
        f"{names[int(one.probabilities.argmax())]} {one.probabilities.max():.0%}" for one in (view.before, view.now)
    ]
    map = enlarged(change_over(view.now.image, view.change, view.limit, threshold, blend), SIDE)
    parts = {f"before: {said[0]}": picture(view.before.image, SIDE), f"now: {said[1]}": picture(view.now.image, SIDE)}
    return beside(parts | {change_words(view.change, threshold): map}, kind="PNG")


def path(bench: Workbench, frames: int = FRAMES) -> Film:
    """The way to what is seen: to the answer, or, with all sliders moving at once, from where they began.

    Raises:
        InputError: if nothing was moved.
    """
    state = bench.state
    if state.walk is not None:
        return bench.answers.film(state.walk.question, state.walk.which)
    start, end = bench.session.home(state.place), state.place
    check(start != end, "path", "lead somewhere", "nothing was moved", "move a slider, or ask for an answer")
    places = []
    for t in torch.linspace(0, 1, frames).tolist():
        mix, steps = (
            tuple((1 - t) * a + t * b for a, b in zip(*pair))
            for pair in ((start.mix, end.mix), (start.steps, end.steps))
        )
        psi = (1 - t) * start.truncation + t * end.truncation
        channels = tuple((layer, channel, t * by) for layer, channel, by in end.channels)
        places.append(replace(end, mix=mix, steps=steps, truncation=psi, channels=channels))
    sights = [bench.session.at(place) for place in places]
    p = torch.stack([one.probabilities for one in sights])
    ends = p[[0, -1]].argmax(1).tolist()
    return Film(torch.stack([one.image for one in sights]), torch.linspace(0, 1, frames), p, bench.class_names, *ends)


def _between(a: tuple[float, ...], b: tuple[float, ...], t: float) -> tuple[float, ...]:
    return tuple((1 - t) * x + t * y for x, y in zip(a, b))


def film_gif(film: Film) -> bytes:
    """There and back again, as GIF that repeats; all frames share the colours of the two ends."""
    pictures, buffer = _frames(film), BytesIO()
    ends = Image.fromarray(np.concatenate([np.asarray(pictures[i]) for i in (0, -1)]))
    palette = ends.quantize(256)
    pictures = [one.quantize(palette=palette) for one in pictures]
    first, *others = [*pictures, *pictures[-2:0:-1]]
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=1000 // RATE, loop=0, optimize=False)
    return buffer.getvalue()


def film_mp4(film: Film) -> bytes:
    """There and back again, as MP4 that any browser plays."""
    av, buffer = require("av", extra="video"), BytesIO()
    pictures = _frames(film)
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("h264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuv420p"
        for one in [*pictures, *pictures[-2::-1]]:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(one), format="rgb24")))
        file.mux(stream.encode())
    return buffer.getvalue()


def _frames(film: Film) -> list[Image.Image]:
    """Enlarged, with even sides, as films want them."""
    found = [picture(x, FILM_SIDE).convert("RGB") for x in film.frames]
    return [one.resize((one.width // 2 * 2, one.height // 2 * 2)) for one in found]


def explanation_zip(bench: Workbench) -> bytes:
    """The explanation's folder, its report, the film and the Python that makes it again, zipped."""
    explanation = bench.explanation
    check(explanation is not None, "explanation", "be there", "no answer yet", "ask what would make it another class")
    film, name = path(bench), explanation.case_id.replace("/", "-")
    try:
        again = snippet_of(bench)
    except InputError as error:
        again = f"# {error}\n"
    with TemporaryDirectory() as folder:
        root = Path(folder)
        measured = with_measurements(explanation)
        measured.save(root / name)
        made = provenance_of(bench.session.bundle, "python reproduce.py", bench.answers.seed)
        write_report([measured], root / "report.html", {explanation.case_id: film}, provenance=made)
        (root / KINDS["GIF"]).write_bytes(film_gif(film))
        (root / KINDS["Python"]).write_text(again, encoding="utf-8")
        buffer = BytesIO()
        with ZipFile(buffer, "w", ZIP_DEFLATED) as packed:
            for file in sorted(root.rglob("*")):
                if file.is_file():
                    packed.write(file, file.relative_to(root))
    return buffer.getvalue()
