"""The HTTP interface: `/bundles`, `/predict` and `/explain`, described by `/openapi.json`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from histoxplain import __version__
from histoxplain._checks import InputError
from histoxplain.app.answers import MOST, answer, opinion, ways_for
from histoxplain.app.desk import BusyError, Desk, LateError
from histoxplain.app.pictures import Limits, Picture, read_picture
from histoxplain.app.words import plain
from histoxplain.explain import paint_change
from histoxplain.viz.page import WARNING, embed

if TYPE_CHECKING:
    from histoxplain.app.shelf import Shelf
    from histoxplain.models import Bundle

T = TypeVar("T")
STATUS = {InputError: 400, ImportError: 400, BusyError: 503, LateError: 504}
"""What an error becomes over HTTP."""


class BundleCard(BaseModel):
    """What a server offers."""

    name: str
    title: str
    class_names: list[str]
    resolution: int = Field(description="Side of the images in pixels; others are cut and resized.")
    methods: dict[str, str] = Field(description="What `/explain` takes, with what each does.")
    licence: str = Field(description="Of the data that the networks learnt from.")


class Prediction(BaseModel):
    """The classifier's opinion of one image."""

    image: str = Field(description="The file's name.")
    bundle: str
    predicted: str = Field(description="The most probable class.")
    probabilities: dict[str, float] = Field(description="Of every class; they sum to 1.")
    note: str = Field(description="What was done to the image to fit the networks.")
    warning: str = WARNING


class Change(BaseModel):
    """One counterfactual."""

    image: str = Field(description="A data URI; WebP, every pixel kept.")
    change: str = Field(description="Where it became darker (purple) or lighter (orange); a data URI.")
    probabilities: dict[str, float]
    valid: bool = Field(description="The classifier says `target`, with at least `threshold`, of the image as saved.")
    l1: float = Field(description="Mean absolute change, from 0 to 2.")
    sentence: str = Field(description="What changed, measured.")


class Explained(BaseModel):
    """What would change the classifier's mind about one image."""

    image: str
    bundle: str
    method: str
    source: str = Field(description="What the classifier says of the image.")
    target: str = Field(description="What it was to say.")
    threshold: float
    probabilities_before: dict[str, float]
    original: str = Field(description="The image as the networks saw it; a data URI.")
    changes: list[Change] = Field(description="The smallest first; none where none was found.")
    reliability: dict[str, Any] | None = Field(description="How far to trust it: `sentence`, `trusted`, `checks`.")
    seconds: float
    report: str | None = Field(description="The report, a whole HTML page, where it was asked for.")
    note: str
    warning: str = WARNING


Sent = Annotated[UploadFile, File(description="PNG, JPEG, TIFF or DICOM.")]
Named = Annotated[str | None, Form(description="A name of `/bundles`; by default the first.")]


class Interface:
    """What the routes do.

    Args:
        shelf: the bundles.
        desk: lets one question be worked on at a time.
        limits: how large files may be.
    """

    def __init__(self, shelf: Shelf, desk: Desk, limits: Limits) -> None:
        self.shelf, self.desk, self.limits = shelf, desk, limits

    def bundles(self) -> list[BundleCard]:
        """The networks that this server offers."""

        def look() -> list[BundleCard]:
            return [card(self.shelf.take(name), title) for name, title in self.shelf.titles.items()]

        return self.desk.ask(look)

    def predict(self, image: Sent, bundle: Named = None) -> Prediction:
        """What the classifier says of an image."""

        def work(networks: Bundle, picture: Picture) -> Prediction:
            p = opinion(networks, picture)
            about = {"image": picture.name, "bundle": networks.name, "note": picture.note}
            return Prediction(predicted=max(p, key=p.get), probabilities=p, **about)

        return self.received(image, bundle, work)

    def explain(
        self,
        image: Sent,
        bundle: Named = None,
        target: Annotated[str | None, Form(description="The class asked for; by default the runner-up.")] = None,
        method: Annotated[str | None, Form(description="One of the bundle's; by default its first.")] = None,
        count: Annotated[int, Form(ge=1, le=MOST, description="How many different changes.")] = 1,
        seed: Annotated[int, Form(ge=0, lt=2**31, description="Fixes every draw.")] = 0,
        report: Annotated[bool, Form(description="Whether to write the report as well.")] = False,
    ) -> Explained:
        """What an image would have to look like for the classifier to change its mind."""

        def work(networks: Bundle, picture: Picture) -> Explained:
            found = answer(networks, picture, target, method, count, seed)
            e, page = found.explanation, found.report if report else None
            return Explained(image=picture.name, note=picture.note, report=page, **told(e), bundle=networks.name)

        return self.received(image, bundle, work)

    def received(self, image: UploadFile, name: str | None, work: Callable[[Bundle, Picture], T]) -> T:
        """Work on a file that came; it is deleted as soon as it was read."""
        with TemporaryDirectory(prefix="histoxplain-") as folder:
            file = Path(folder) / "image"
            with file.open("wb") as copy:
                shutil.copyfileobj(image.file, copy)

            def read_and_work() -> T:
                bundle = self.shelf.take(name or next(iter(self.shelf.titles)))
                picture = read_picture(file, bundle, image.filename, self.limits)
                file.unlink(missing_ok=True)
                return work(bundle, picture)

            return self.desk.ask(read_and_work)


def card(bundle: Bundle, title: str) -> BundleCard:
    """What a bundle offers."""
    licence = str(bundle.info.get("licence", "none named"))
    about = {"class_names": list(bundle.class_names), "resolution": bundle.resolution, "methods": ways_for(bundle)}
    return BundleCard(name=bundle.path.name, title=title, licence=licence, **about)


def told(e: Any) -> dict[str, Any]:
    """An explanation for the wire."""
    names, sentences = e.class_names, e.measurements or [{"sentence": ""}] * len(e)
    changes = [
        Change(
            image=embed(e.counterfactuals[i]),
            change=embed(paint_change(e.change[i])),
            probabilities=dict(zip(names, e.probabilities_after[i].tolist())),
            valid=bool(e.valid[i]),
            l1=float(e.l1[i]),
            sentence=sentences[i]["sentence"],
        )
        for i in range(len(e))
    ]
    return {
        "method": e.method,
        "source": names[e.source_class],
        "target": names[e.target_class],
        "threshold": e.threshold,
        "probabilities_before": dict(zip(names, e.probabilities_before.tolist())),
        "original": embed(e.original),
        "changes": changes,
        "reliability": e.reliability,
        "seconds": e.seconds,
    }


def make_interface(shelf: Shelf, desk: Desk, limits: Limits | None = None) -> FastAPI:
    """The routes, with their schema.

    Args:
        shelf: the bundles.
        desk: lets one question be worked on at a time.
        limits: how large files may be.
    """
    routes = Interface(shelf, desk, limits or Limits())
    about = f"Counterfactual explanations of medical image classifiers. {WARNING}"
    app = FastAPI(title="histoxplain", version=__version__, description=about, docs_url=None, redoc_url=None)
    app.add_api_route("/bundles", routes.bundles, methods=["GET"])
    app.add_api_route("/predict", routes.predict, methods=["POST"])
    app.add_api_route("/explain", routes.explain, methods=["POST"])
    for kind, status in STATUS.items():
        app.add_exception_handler(kind, _teller(status))
    return app


def _teller(status: int) -> Callable[[Request, Exception], JSONResponse]:
    def tell(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": plain(error)}, status)

    return tell
