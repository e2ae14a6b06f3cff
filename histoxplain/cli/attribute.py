"""Show which parts of images speak for a class, by one or several methods.

Writes OUT/<id>/<method>/ with attribution.json and PNGs for every image, OUT/attributions.json with all of them, and
OUT/report.html.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from histoxplain.explain import Attribution
    from histoxplain.viz import Provenance

Name = Literal[
    "grad-cam",
    "layer-cam",
    "score-cam",
    "integrated-gradients",
    "gradient-shap",
    "occlusion",
    "lime",
    "kernel-shap",
    "rise",
]


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain attribute`."""

    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE...")]
    """Image files, or folders of them."""
    bundle: str | None = None
    """Name of a bundle under checkpoints/, or its folder; its classifier is explained."""
    classifier: Path | None = None
    """A classifier.safetensors of a training run, instead of a bundle."""
    method: tuple[Name, ...] = ("grad-cam",)
    """How to make the maps; several are shown side by side."""
    target: str | None = None
    """The class the maps are about; by default the classifier's own opinion of each image."""
    layer: str | None = None
    """Of methods that make maps of a layer, its name; by default the last one with a map."""
    score: Literal["logit", "lead", "probability"] | None = None
    """What is explained; by default each method's custom."""
    baseline: str = "0"
    """What hidden parts look like: a brightness from -1 (black) to 1 (white), "mean" or "blur"."""
    measure: bool = False
    """Also measure how the probability falls and rises as the pixels that a map names are hidden and shown."""
    out: Path = Path("outputs/attribute")
    """Folder to write to."""
    fit: bool = False
    """Crop, resize and convert images of another size or kind instead of refusing them."""
    window: str | None = None
    """Of DICOM: the number of the file's window, from 1, or CENTRE/WIDTH (--window=-600/1500); by default the first."""
    frame: int | None = None
    """Of DICOM with several frames: the number of the one to take, from 1."""
    seed: int = 0
    """Fixes every draw."""
    batch_size: int = 16
    """Images, or changed copies of one, that the classifier looks at together."""

    def __call__(self) -> None:
        """Attribute, write the report, and say where it is."""
        from histoxplain._checks import check
        from histoxplain.cli.image_files import about_scan, image_files, names_of
        from histoxplain.data.window import parse_window
        from histoxplain.explain.attribution.attribute import opened

        check(bool(self.images), "IMAGE", "name at least one image", "none")
        check(bool(self.method), "method", "name at least one", "none", "grad-cam is one")
        check(not self.out.is_file(), "out", "be a folder", f"the file {self.out}", "choose another name")
        window = parse_window(self.window)
        files, model = image_files(self.images), self.model()
        names = names_of(files)
        scan = {"window": window, "frame": self.frame}
        x = [opened(model, file, self.fit, str(file), **scan) for file in files]  # a wrong one stops the run early
        for file, image in zip(files, x):
            about_scan(file, image.shape[-1], **scan)
        self.check_asked(model, x[0])
        check_all_free([self.out / name / method for name in names for method in self.method])
        done, measured = self.attributions(model, x, names)
        print(f"{len(done)} maps of {len(files)} images -> {write_all(done, measured, self.out, self.made_of(model))}")

    def made_of(self, model: Any) -> Provenance:
        """Where the report comes from."""
        from histoxplain.cli.chosen import chosen
        from histoxplain.viz import command_line, provenance_of

        options = chosen(self, "bundle", "method", "seed")
        command = command_line("attribute", options.pop("images"), **options)
        files = None if self.classifier is None else [self.classifier]
        return provenance_of(model, command, self.seed, files)

    def check_asked(self, model: Any, x: Any) -> None:
        """Refuse a class, a baseline or a layer that there is not, before anything is computed or written."""
        from histoxplain.explain.attribution.attribute import classifier_of, device_of
        from histoxplain.explain.attribution.layers import choose_layers
        from histoxplain.explain.attribution.scores import Scores, baseline_of
        from histoxplain.explain.explainer import class_index

        classifier = classifier_of(model)
        if self.target is not None:
            class_index(self.target, classifier.class_names)
        baseline_of(x[None], number(self.baseline))
        if any(method.endswith("-cam") for method in self.method):
            choose_layers(Scores(classifier), x[None].to(device_of(classifier)), 0, self.layer)

    def model(self) -> Any:
        """The bundle or the classifier that was named.

        Raises:
            InputError: if none or both were.
        """
        from histoxplain import models
        from histoxplain._checks import check
        from histoxplain._device import resolve_device

        given = (self.bundle is not None) + (self.classifier is not None)
        check(given == 1, "classifier", "be given either by --bundle or by --classifier", f"{given} of them")
        if self.classifier is not None:
            return models.load_classifier(self.classifier).to(resolve_device())
        return models.load_bundle(self.bundle)

    def attributions(self, model: Any, x: list[Any], names: list[str]) -> tuple[list[Attribution], list[Any]]:
        """The maps of every image by every method, on disk as soon as they are there, and what was measured."""
        from histoxplain.explain import attribute
        from histoxplain.train.loop import progress

        brightness = number(self.baseline)
        options = {"score": self.score, "seed": self.seed, "batch_size": self.batch_size, "baseline": brightness}
        done, measured = [], []
        with progress(len(x) * len(self.method), what="attributing", unit="map") as bar:
            for image, name in zip(x, names):
                for method in self.method:
                    layer = self.layer if method.endswith("-cam") else None
                    one = attribute(model, image, method, self.target, layer=layer, ids=[name], **options)
                    one.save(self.out / name / method)
                    done.append(one)
                    measured.append(measure(model, one, self.seed) if self.measure else None)
                    bar.update()
        return done, measured


def number(text: str) -> float | str:
    """A number where the text is one.

    Example:
        >>> number("-1"), number("blur")
        (-1.0, 'blur')
    """
    try:
        return float(text)
    except ValueError:
        return text


def measure(model: Any, one: Attribution, seed: int) -> dict[str, float]:
    """The areas under the curves of deletion and insertion."""
    from histoxplain.explain.attribution.attribute import classifier_of, device_of
    from histoxplain.explain.attribution.scores import opinions
    from histoxplain.metrics import faithfulness

    classifier = classifier_of(model)
    x = one.original.to(device_of(classifier))
    return faithfulness(lambda some: opinions(classifier, some)[:, one.target_class], x, one.map, seed=seed).to_json()


def check_all_free(folders: list[Path]) -> None:
    """Refuse to write where something else lies.

    Raises:
        InputError: if it does.
    """
    from histoxplain.explain.attribution.record import check_free

    for folder in folders:
        check_free(folder)


def write_all(done: list[Attribution], measured: list[Any], out: Path, made: Provenance | None = None) -> Path:
    """Write OUT/attributions.json and OUT/report.html; returns the latter."""
    from histoxplain._atomic import replacing
    from histoxplain.viz import write_attribution_report

    entries = [one.to_json() | ({"faithfulness": found} if found else {}) for one, found in zip(done, measured)]
    with replacing(out / "attributions.json") as part:
        part.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return write_attribution_report(done, out / "report.html", measured, provenance=made)
