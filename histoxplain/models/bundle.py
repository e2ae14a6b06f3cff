"""A bundle: a classifier, the networks that draw images to explain it, and what is known about them, in one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check
from histoxplain._device import resolve_device
from histoxplain._malloc import keep_freed_memory
from histoxplain.models.classifier import Classifier, load_classifier
from histoxplain.models.cyclegan import Translator, load_translator
from histoxplain.models.detail_encoder import DetailEncoder
from histoxplain.models.encoder import Encoder, load_encoder
from histoxplain.models.inpainting import Inpainter, load_inpainter
from histoxplain.models.reference import Reference, load_reference
from histoxplain.models.stylegan2 import Generator, load_generator
from histoxplain.models.viscoin import ConceptModel, load_concepts

FORMAT = "histoxplain.bundle/1"
DESCRIPTION = "bundle.json"
DRAWING = ("generator", "translator", "inpainter")
"""What draws the images that explain; a bundle has at least one."""
METHOD_OF = {"generator": "latent", "translator": "cyclegan", "inpainter": "inpainting"}
"""The method that each of them is for."""
TRAINED_BY = {"concepts": "viscoin", "inpainter": "inpainting", "translator": "cyclegan", "encoder": "encoder"}
"""The verb after `train` that makes what a bundle may lack."""


@dataclass(frozen=True)
class Bundle:
    """What `load_bundle` returns."""

    name: str
    generator: Generator | None
    """Draws images of the classes from latents; None in a bundle that only translates images."""
    classifier: Classifier
    oracle: Classifier | None
    """An independent classifier that no search computes with: it tells explanations from adversarial patterns."""
    encoder: Encoder | DetailEncoder | None
    """Finds the latent of an image at once, where one was trained for or beside the generator; see `encode`."""
    class_names: tuple[str, ...]
    resolution: int
    card: str
    """The model card, Markdown."""
    path: Path
    info: dict[str, Any] = field(default_factory=dict)
    """`bundle.json`: title, data, licence, measured figures."""
    reference: Reference | None = None
    """What images of the bundle's own kind measure, where these were measured: tells whether another is of the kind."""
    translator: Translator | None = None
    """Turns images of one class into another (CycleGAN), where one was trained."""
    concepts: ConceptModel | None = None
    """What the classifier looks for, as concepts that the generator can show (VisCoIN), where it was trained."""
    inpainter: Inpainter | None = None
    """Makes abnormal images normal (COIN), where one was trained."""

    def __repr__(self) -> str:
        classes = ", ".join(self.class_names)
        return f"Bundle({self.name!r}: {classes}; {self.resolution} px; {self.info.get('licence', 'no licence named')})"


def check_part(bundle: Bundle, role: str, what: str, instead: str | None = None) -> None:
    """A bundle must hold a network.

    Args:
        bundle: or anything with the networks of one.
        role: "generator", "translator", "inpainter", "oracle", "encoder" or "concepts".
        what: needs it; for the message.
        instead: what to do instead of taking another bundle, from "or" on.

    Raises:
        InputError: if it does not.
    """
    if getattr(bundle, role, None) is None:
        if instead is None and role in TRAINED_BY:
            instead = f"or train one with `train {TRAINED_BY[role]}`"
        others = [method for other, method in METHOD_OF.items() if getattr(bundle, other, None) is not None]
        if what.startswith("the method ") and others:
            instead = f"or use the method {others[0]}"
        name, way_out = getattr(bundle, "name", "one"), f"take a bundle with one {instead or ''}".strip()
        check(False, "bundle", f"hold {with_article(role)} for {what}", f"{name} without", way_out)


def with_article(role: str) -> str:
    """A network's role in a sentence.

    Example:
        >>> with_article("oracle"), with_article("concepts")
        ('an oracle', 'a concept model')
    """
    noun = "concept model" if role == "concepts" else role
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def load_bundle(name: str | Path, device: str = "auto", precision: str = "auto") -> Bundle:
    """Load a bundle by name or from a folder.

    Args:
        name: a name under `checkpoints/` (looked for in `$HISTOXPLAIN_CHECKPOINTS`, the working folder and its parents,
            and the source checkout), or the path of a folder with a `bundle.json`.
        device: "auto" (CUDA when there), "cpu", "cuda", ...
        precision: of the generator's convolutions; "auto", "float32", "bfloat16" or "float16".

    Raises:
        InputError: if there is no such bundle or a file in it is missing, damaged or does not fit the others.
    """
    keep_freed_memory()
    path = find_bundle(name)
    info = _describe(path)
    files = info["files"]
    generator = load_generator(path / files["generator"], device, precision) if "generator" in files else None
    translator = load_translator(path / files["translator"], device, precision) if "translator" in files else None
    inpainter = load_inpainter(path / files["inpainter"], device, precision) if "inpainter" in files else None
    classifier = load_classifier(path / files["classifier"]).to(resolve_device(device))
    oracle = load_classifier(path / files["oracle"]).to(resolve_device(device)) if "oracle" in files else None
    encoder = load_encoder(path / files["encoder"], device, precision) if "encoder" in files else None
    reference = load_reference(path / files["reference"]) if "reference" in files else None
    drawing = dict(zip(DRAWING, (generator, translator, inpainter)))
    for role, network in (*drawing.items(), ("oracle", oracle)):
        if network is not None:
            _check_fits(path, role, network, classifier)
    if encoder is not None and generator is not None:
        _check_encoder(path, generator, encoder)
    concepts = None
    if "concepts" in files and generator is not None:
        concepts = load_concepts(path / files["concepts"], classifier, generator, encoder)
    card = path / "README.md"
    return Bundle(
        name=info["name"],
        generator=generator,
        classifier=classifier,
        oracle=oracle,
        encoder=encoder,
        class_names=tuple(classifier.class_names),
        resolution=next(_resolution(network) for network in drawing.values() if network is not None),
        card=card.read_text(encoding="utf-8") if card.exists() else "",
        path=path,
        info=info,
        reference=reference,
        translator=translator,
        concepts=concepts,
        inpainter=inpainter,
    )


def _resolution(network: Generator | Translator | Inpainter) -> int:
    return network.img_resolution if isinstance(network, Generator) else network.resolution


def write_bundle(path: str | Path, name: str, files: Mapping[str, str], **info: Any) -> Path:
    """Describe checkpoints that lie in a folder as a bundle: writes its `bundle.json`.

    Args:
        path: the folder.
        name: the bundle's name.
        files: "classifier", and one or several of "generator", "translator" and "inpainter", optionally "oracle",
            "encoder", "concepts" and "reference", to file names there.
        info: whatever else belongs there: title, data, licence, figures.

    Raises:
        InputError: if a file is missing in the folder.
    """
    path = Path(path)
    check("classifier" in files, "files", "name a classifier", sorted(files))
    rule = "name a generator, a translator or an inpainter"
    check(bool(set(DRAWING) & set(files)), "files", rule, sorted(files))
    for file in files.values():
        check((path / file).exists(), "files", f"lie in {path}", file, "copy the checkpoint there first")
    with replacing(path / DESCRIPTION) as part:
        description = {"format": FORMAT, "name": name, "files": dict(files), **info}
        part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return path


def find_bundle(name: str | Path) -> Path:
    """The folder of a bundle; see `load_bundle`."""
    path = Path(name)
    if (path / DESCRIPTION).is_file():
        return path
    if path.exists() and path.parts != (path.name,):
        raise InputError(f"`bundle` must be a folder with a {DESCRIPTION}, got {path}; make one with `write_bundle`.")
    places = checkpoint_folders()
    for place in places:
        if (place / name / DESCRIPTION).is_file():
            return place / name
    known = sorted({entry.parent.name for place in places for entry in place.glob(f"*/{DESCRIPTION}")})
    near = [one for one in known if one.startswith(str(name))] or get_close_matches(str(name), known, n=1)
    if near:
        way_out = f"nearest valid is {near[0]!r}"
    elif known:
        way_out = f"known are {', '.join(known)}"
    else:
        way_out = "run in the folder that holds checkpoints/, set HISTOXPLAIN_CHECKPOINTS to it, or give a path"
    raise InputError(f"`bundle` must be a known bundle or its folder, got {str(name)!r}; {way_out}.")


def checkpoint_folders() -> list[Path]:
    """Where bundles are looked for by name, in order."""
    here = Path.cwd()
    named = [Path(os.environ["HISTOXPLAIN_CHECKPOINTS"])] if os.environ.get("HISTOXPLAIN_CHECKPOINTS") else []
    above = [folder / "checkpoints" for folder in (here, *here.parents)]
    source = Path(__file__).resolve().parents[2] / "checkpoints"
    return [place for place in (*named, *above, source) if place.is_dir()]


def _describe(path: Path) -> dict[str, Any]:
    try:
        info = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        drawn = set(DRAWING) & set(info["files"])
        complete = info["format"] == FORMAT and "classifier" in info["files"] and drawn and info["name"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        complete = False
    check(bool(complete), "bundle", f"have a {DESCRIPTION} of format {FORMAT}", path, "fetch the bundle again")
    return info


def _check_fits(
    path: Path, role: str, network: Generator | Translator | Inpainter | Classifier, classifier: Classifier
) -> None:
    channels = network.img_channels if isinstance(network, Generator) else network.channels
    got = f"{channels} and {classifier.channels} in {path}"
    same = channels == classifier.channels
    check(same, "bundle", f"hold {with_article(role)} and a classifier of equal channel counts", got)
    names = network.class_names
    fits = not names or tuple(names) == tuple(classifier.class_names)
    got = f"{', '.join(names)} and {', '.join(classifier.class_names)} in {path}"
    check(fits, "bundle", f"hold {with_article(role)} and a classifier of the same classes", got)


def _check_encoder(path: Path, generator: Generator, encoder: Encoder | DetailEncoder) -> None:
    shapes = [(x.img_resolution, x.img_channels, x.num_ws, x.w_dim) for x in (generator, encoder)]
    got = f"{shapes[0]} and {shapes[1]} in {path}"
    rule = "hold a generator and an encoder of equal resolution, channels, num_ws and w_dim"
    check(shapes[0] == shapes[1], "bundle", rule, got)
