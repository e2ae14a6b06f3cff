"""The model card of a bundle: what its networks are, how they were made, and the figures that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoxplain._atomic import replacing

if TYPE_CHECKING:
    from histoxplain.models import Checkpoint

PICTURES = {
    "samples.png": "Samples, one row a class",
    "translations.png": "For each class a row of images, their translations, and the way back",
    "inpaintings.png": "For each class a row of images, how they look as normal, and the difference",
}
"""Of the card, where they were made."""


@dataclass(frozen=True)
class Part:
    """One checkpoint on its way into the bundle: its `role`, the `file` it comes from and what that holds."""

    role: str
    file: Path
    checkpoint: Checkpoint
    run: dict[str, Any] = field(default_factory=dict)


def write_card(folder: Path, title: str, facts: dict[str, str], parts: Sequence[Part], figures: dict[str, Any]) -> None:
    """Write README.md into a bundle's folder.

    Args:
        folder: with the pictures that the card is to show.
        title: of the card.
        facts: what it says first, by name; empty ones are left out.
        parts: the bundle's networks.
        figures: JSON of `measure` and `evaluate`, by name.
    """
    lines = [f"# {title}", ""]
    for name, caption in PICTURES.items():
        lines += [f"![{caption}]({name})", ""] if (folder / name).exists() else []
    lines += ["For research only: not a medical device, and no basis for a diagnosis.", ""]
    lines += [f"- **{name}**: {value}" for name, value in facts.items() if value]
    for part in parts:
        lines += ["", f"## {part.role.capitalize()}", "", *describe(part)]
    for name, values in figures.items():
        masks = values.get("masks")
        lines += ["", f"## Measured: {name}", "", *table({k: v for k, v in values.items() if k != "masks"})]
        lines += ["", *mask_table(masks)] if masks else []
    with replacing(folder / "README.md") as beside:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(part: Part) -> list[str]:
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
