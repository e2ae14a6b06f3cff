"""Put a classifier, what draws images to explain it, and an independent oracle into one folder that loads by name.

The folder receives the checkpoints, samples.png of a generator (one row a class), translations.png of a translator's
training, bundle.json, and a model card in README.md with the settings of the trainings and the figures that are given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from histoxplain.cli.bundle_card import Part, write_card

if TYPE_CHECKING:
    from torch import Tensor


ROLES = ("generator", "encoder", "translator", "inpainter", "classifier", "concepts", "oracle")
"""Of the networks that a bundle may hold, in the order of the card."""
ADOPTED = "adopted"
"""The kind of a classifier that came as somebody's own network."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain bundle`."""

    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """The bundle's folder, say checkpoints/NAME; its last part becomes the name."""
    classifier: Path
    """Classifier checkpoint, RUN/classifier.safetensors, or your own network's description by `histoxplain adopt`."""
    generator: Path | None = None
    """Generator checkpoint, RUN/generator.safetensors."""
    translator: Path | None = None
    """CycleGAN checkpoint, RUN/translator.safetensors; instead of a generator or beside one."""
    inpainter: Path | None = None
    """Checkpoint of counterfactual inpainting, RUN/inpainter.safetensors; instead of these or beside them."""
    oracle: Path | None = None
    """Independently trained classifier of the same classes, to judge explanations."""
    encoder: Path | None = None
    """Encoder checkpoint that was trained for or beside the generator, RUN/encoder.safetensors."""
    concepts: Path | None = None
    """Concept model that was trained for the generator and the classifier, RUN/concepts.safetensors."""
    title: str = ""
    """What the bundle shows, in a few words."""
    data: str = ""
    """The data it was trained on: name, source, split."""
    licence: str = ""
    """Terms of that data."""
    advice: Path | None = None
    """JSON file with what else belongs into bundle.json, such as {"mask": {"threshold": 0.05, "smooth": 2}}: how masks
    of the method inpainting are best made."""
    reference: Path | None = None
    """The data it was trained on, to measure what images of its kind are like; see `histoxplain reference --help`."""
    figures: tuple[Path, ...] = ()
    """JSON files of `histoxplain measure` and `histoxplain evaluate` to put on the card."""
    pairs: bool = False
    """Also draw counterfactuals.png: a sample of each class turned into every other class (a minute)."""
    half: bool = True
    """Store weights in half precision."""

    def __call__(self) -> None:
        """Write the folder."""
        print(f"bundle -> {make_bundle(self)}")


def make_bundle(command: Command) -> Path:
    """Copy the checkpoints, draw samples, write `bundle.json` and the card; all of them, or nothing where one fails.

    Of a bundle that was there before, files that are not written again stay.
    """
    from histoxplain._atomic import replacing_files
    from histoxplain._checks import InputError, check, check_exists
    from histoxplain.models.bundle import DESCRIPTION

    drawn = bool(command.generator or command.translator or command.inpainter)
    way_out = "train one with `train gan`, `train cyclegan` or `train inpainting`"
    check(drawn, "generator", "be given, or a translator or an inpainter", "none", way_out)
    out = command.out
    free = not out.exists() or (out / DESCRIPTION).is_file() or (out.is_dir() and not any(out.iterdir()))
    check(free, "OUT", "be a new folder, an empty one or a bundle", out, "choose another name")
    wanted = {role: getattr(command, role) for role in ROLES}
    parts = [read_part(role, check_exists(role, file)) for role, file in wanted.items() if file is not None]
    figures = {path.stem: read_figures(check_exists("figures", path)) for path in command.figures}
    about = {"title": command.title, "data": command.data, "licence": command.licence, "figures": figures}
    if command.advice is not None:
        about |= read_advice(check_exists("advice", command.advice))
    if command.reference is not None:
        check_exists("reference", command.reference)
    with replacing_files(out) as folder:
        files = {part.role: write_part(part, folder, command.half).name for part in parts}
        try:
            fill(folder, command, files, about)
        except InputError as error:  # the user knows nothing of the folder beside
            raise InputError(str(error).replace(str(folder), str(out))) from error
        write_card(folder, command.title or out.resolve().name, facts_of(command), parts, figures)
    return out


def fill(folder: Path, command: Command, files: dict[str, str], about: dict[str, Any]) -> None:
    """Describe checkpoints that lie in a folder as a bundle, see that they fit, and draw what they draw."""
    from histoxplain.cli.reference import add_reference
    from histoxplain.models import load_bundle, write_bundle

    write_bundle(folder, command.out.resolve().name, files, **about)
    bundle = load_bundle(folder)
    if bundle.generator is not None:
        draw_samples(bundle, folder / "samples.png")
        if command.pairs:
            draw_pairs(bundle, folder / "counterfactuals.png")
    copy_picture(command.translator, folder / "translations.png")
    copy_picture(command.inpainter, folder / "inpaintings.png")
    if command.reference is not None:
        add_reference(folder, command.reference)


def facts_of(command: Command) -> dict[str, str]:
    """What the card says first."""
    return {"Data": command.data, "Terms of the data": command.licence}


def read_part(role: str, file: Path) -> Part:
    """Read a checkpoint and, where they lie beside it, its training's settings and figures."""
    from histoxplain.models import Checkpoint, load_checkpoint
    from histoxplain.models.adopted_file import described

    if file.suffix == ".json":
        return Part(role, file, Checkpoint({}, ADOPTED, described(file)))

    kinds = {
        "generator": "stylegan2.generator",
        "encoder": "encoder",
        "translator": "translator",
        "inpainter": "inpainter",
        "concepts": "concepts",
    }
    run = {}
    for name in ("config", "metrics"):
        beside = file.with_name(f"{name}.json")
        if beside.exists():
            run[name] = json.loads(beside.read_text(encoding="utf-8"))
    found = load_checkpoint(file)
    if (role in kinds, found.kind) != (False, "vote"):  # several classifiers that vote stand for one
        found = load_checkpoint(file, kinds.get(role, "classifier"))
    return Part(role, file, found, run)


def read_figures(path: Path) -> dict[str, Any]:
    """Figures as they were written, with the name of the data in place of where it lay."""
    figures = json.loads(path.read_text(encoding="utf-8"))
    return figures | ({"data": Path(figures["data"]).name} if figures.get("data") else {})


def read_advice(path: Path) -> dict[str, Any]:
    """What else belongs into `bundle.json`.

    Raises:
        InputError: if the file is no JSON object.
    """
    from histoxplain._checks import check

    try:
        advice = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        advice = None
    check(isinstance(advice, dict), "advice", "be a JSON file with an object", path)
    return advice


def write_part(part: Part, folder: Path, half: bool) -> Path:
    """Put a checkpoint into the folder; returns its file."""
    from histoxplain.models import load_classifier, save_adopted, save_checkpoint

    kept = part.checkpoint
    if kept.kind == ADOPTED:
        return save_adopted(folder / f"{part.role}.json", load_classifier(part.file))
    state = {name: smaller(tensor) if half else tensor for name, tensor in kept.state.items()}
    file = folder / f"{part.role}.safetensors"
    return save_checkpoint(file, state, kind=kept.kind, config=kept.config, meta=kept.meta)


def smaller(tensor: Tensor) -> Tensor:
    """Floating-point tensors in half precision, others as they are."""
    return tensor.half() if tensor.is_floating_point() else tensor


def copy_picture(checkpoint: Path | None, to: Path) -> None:
    """The last picture that lies beside a checkpoint, if there is one."""
    import shutil

    pictures = sorted(checkpoint.parent.glob("samples-*.png")) if checkpoint is not None else []
    if pictures:
        shutil.copyfile(pictures[-1], to)


def draw_samples(bundle: Any, path: Path) -> None:
    """Write a grid of samples, one row a class."""
    from histoxplain.train.samples import sample_grid, save_picture

    save_picture(path, sample_grid(bundle.generator))


def draw_pairs(bundle: Any, path: Path) -> None:
    """Write a picture of one sample of each class and its counterfactuals in every other class."""
    from histoxplain import viz
    from histoxplain._atomic import replacing
    from histoxplain.explain import explain_latents, generate_pairs

    pairs = generate_pairs(bundle)
    count = len(bundle.class_names)
    images, captions = [], []
    for k, name in enumerate(bundle.class_names):
        rows = [i for i, source in enumerate(pairs.sources) if source == k]
        first = rows[0]
        found = explain_latents(
            bundle,
            pairs.ws[[first] * len(rows)],
            [bundle.class_names[pairs.targets[i]] for i in rows],
            z=pairs.z[[first] * len(rows)],
        )
        images += [found[0].original, *(e.counterfactuals[0] for e in found)]
        captions.append(f"{name} {found[0].probabilities_before[k]:.0%}")
        for e in found:
            captions.append(f"to {e.class_names[e.target_class]} {e.probabilities_after[0, e.target_class]:.0%}")
    figure = viz.sample_grid(stack(images), captions, columns=count, side=2.2)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110)


def stack(images: list[Tensor]) -> Tensor:
    """Images of equal size as one batch."""
    import torch

    return torch.stack([image.cpu() for image in images])
