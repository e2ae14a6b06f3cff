"""Put a classifier, what draws images to explain it, and an independent oracle into one folder that loads by name.

The folder receives the checkpoints, samples.png of a generator (one row a class), translations.png of a translator's
training, bundle.json, and a model card in README.md with the settings of the trainings and the figures that are given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models import Checkpoint

ROLES = ("generator", "encoder", "translator", "inpainter", "classifier", "concepts", "oracle")
"""Of the networks that a bundle may hold, in the order of the card."""
PICTURES = {
    "samples.png": "Samples, one row a class",
    "translations.png": "For each class a row of images, their translations, and the way back",
    "inpaintings.png": "For each class a row of images, how they look as normal, and the difference",
}
"""Of the card, where they were made."""
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


@dataclass(frozen=True)
class _Part:
    """One checkpoint on its way into the bundle: its `role`, the `file` it comes from and what that holds."""

    role: str
    file: Path
    checkpoint: Checkpoint
    run: dict[str, Any] = field(default_factory=dict)


def make_bundle(command: Command) -> Path:
    """Copy the checkpoints, draw samples, write `bundle.json` and the card."""
    from histoxplain._checks import check, check_exists
    from histoxplain.models import load_bundle, load_classifier, save_adopted, save_checkpoint, write_bundle

    drawn = bool(command.generator or command.translator or command.inpainter)
    way_out = "train one with `train gan`, `train cyclegan` or `train inpainting`"
    check(drawn, "generator", "be given, or a translator or an inpainter", "none", way_out)
    wanted = {role: getattr(command, role) for role in ROLES}
    parts = [read_part(role, check_exists(role, file)) for role, file in wanted.items() if file is not None]
    figures = {path.stem: read_figures(check_exists("figures", path)) for path in command.figures}
    if command.reference is not None:
        check_exists("reference", command.reference)
    for part in parts:
        kept = part.checkpoint
        if kept.kind == ADOPTED:
            save_adopted(file_of(command, part), load_classifier(part.file))
            continue
        state = {name: smaller(tensor) if command.half else tensor for name, tensor in kept.state.items()}
        save_checkpoint(file_of(command, part), state, kind=kept.kind, config=kept.config, meta=kept.meta)
    files = {part.role: file_of(command, part).name for part in parts}
    about = {"title": command.title, "data": command.data, "licence": command.licence, "figures": figures}
    if command.advice is not None:
        about |= json.loads(check_exists("advice", command.advice).read_text(encoding="utf-8"))
    write_bundle(command.out, command.out.name, files, **about)
    bundle = load_bundle(command.out)
    if bundle.generator is not None:
        draw_samples(bundle, command.out / "samples.png")
    copy_picture(command.translator, command.out / "translations.png")
    copy_picture(command.inpainter, command.out / "inpaintings.png")
    if command.pairs and bundle.generator is not None:
        draw_pairs(bundle, command.out / "counterfactuals.png")
    write_card(command, parts, figures)
    if command.reference is not None:
        from histoxplain.cli.reference import add_reference

        add_reference(command.out, command.reference)
    return command.out


def read_part(role: str, file: Path) -> _Part:
    """Read a checkpoint and, where they lie beside it, its training's settings and figures."""
    from histoxplain.models import Checkpoint, load_checkpoint
    from histoxplain.models.adopted_file import described

    if file.suffix == ".json":
        return _Part(role, file, Checkpoint({}, ADOPTED, described(file)))

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
    return _Part(role, file, found, run)


def read_figures(path: Path) -> dict[str, Any]:
    """Figures as they were written, with the name of the data in place of where it lay."""
    figures = json.loads(path.read_text(encoding="utf-8"))
    return figures | ({"data": Path(figures["data"]).name} if figures.get("data") else {})


def file_of(command: Command, part: _Part) -> Path:
    """Where a part lies in the bundle."""
    return command.out / f"{part.role}{'.json' if part.checkpoint.kind == ADOPTED else '.safetensors'}"


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


def write_card(command: Command, parts: list[_Part], figures: dict[str, Any]) -> None:
    """Write the model card."""
    from histoxplain._atomic import replacing

    facts = {"Data": command.data, "Terms of the data": command.licence}
    lines = [f"# {command.title or command.out.name}", ""]
    for name, caption in PICTURES.items():
        lines += [f"![{caption}]({name})", ""] if (command.out / name).exists() else []
    lines += ["For research only: not a medical device, and no basis for a diagnosis.", ""]
    lines += [f"- **{name}**: {value}" for name, value in facts.items() if value]
    for part in parts:
        lines += ["", f"## {part.role.capitalize()}", "", *describe(part)]
    for name, values in figures.items():
        masks = values.get("masks")
        lines += ["", f"## Measured: {name}", "", *table({k: v for k, v in values.items() if k != "masks"})]
        lines += ["", *mask_table(masks)] if masks else []
    with replacing(command.out / "README.md") as beside:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(part: _Part) -> list[str]:
    """What a checkpoint is and how it was made, as lines of Markdown."""
    settings = {k: v for k, v in part.checkpoint.config.items() if v is not None}
    if part.checkpoint.kind == "vote":
        settings["members"] = " and ".join(member["architecture"] for member in settings["members"])
    if part.role == "concepts":
        settings = {k: v for k, v in settings.items() if not isinstance(v, list)}
    lines = ["Network: " + ", ".join(f"{name} {value}" for name, value in settings.items()) + "."]
    meta = part.checkpoint.meta
    if isinstance(meta.get("start"), dict):
        lines += ["", "Training started from " + ", ".join(f"{v} ({k})" for k, v in meta["start"].items()) + "."]
    if meta.get("data"):
        lines += ["", f"Digest of the data: {meta['data']}; histoxplain {part.checkpoint.version}."]
    seen = meta.get("images_seen")
    if seen:
        went_on = bool(part.run.get("config", {}).get("start_from"))
        which = "its last training, which went on from an earlier one" if went_on else "training"
        lines += ["", f"Images seen in {which}: {seen:,}."]
    settings = part.run.get("config", {})
    if settings and (part.role != "encoder" or "image_weight" in settings):  # else they are the generator's
        hidden = ("data", "device", "guide", "start_from", "bundle", "generator", "classifier", "label_classifier")
        shown = {k: v for k, v in settings.items() if v is not None and k not in hidden}
        lines += ["", "Training: " + ", ".join(f"{name} {value}" for name, value in shown.items()) + "."]
    test = (part.run.get("metrics") or {}).get("test")
    if test:
        lines += ["", f"On {test['images']} test images: " + ", ".join(f"{k} {v}" for k, v in flat(test)) + "."]
    return lines


def flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of a nested dictionary, numbers to four digits; lists and what was not measured are left out.

    Example:
        >>> flat({"a": 1, "b": {"c": 0.123456}})
        [('a', '1'), ('b, c', '0.1235')]
    """
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}, ")
        elif value is not None and not isinstance(value, list):
            rows.append((f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows


def table(values: dict[str, Any]) -> list[str]:
    """A nested dictionary as a Markdown table."""
    return ["| | |", "|---|---|", *(f"| {name.replace('_', ' ')} | {value} |" for name, value in flat(values))]


def mask_table(masks: dict[str, Any]) -> list[str]:
    """How well masks agree with true ones, method by method, as a Markdown table."""
    measures = ("iou", "dice", "precision", "recall")
    lines = ["| masks | " + " | ".join(measures) + " | threshold |", "|---" * (len(measures) + 2) + "|"]
    for row in masks["rows"]:
        scores = (interval_text(row[measure]) for measure in measures)
        lines.append(f"| {row['method']} | {' | '.join(scores)} | {row['threshold']} |")
    said = ", ".join(
        f"{name.replace('_', ' ')} {interval_text(masks[name])}" for name in ("ahead", "validity", "found")
    )
    return [*lines, "", f"{masks['abnormal']} abnormal and {masks['normal']} normal images; {said}."]


def interval_text(interval: dict[str, float | None]) -> str:
    """A figure and its interval.

    Example:
        >>> interval_text({"value": 0.5, "low": 0.4, "high": 1})
        '0.500 (0.400 to 1.000)'
    """
    value, low, high = (interval[name] for name in ("value", "low", "high"))
    if value is None:
        return "not measured"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
