"""Train a classifier: transfer learning or from scratch, early stopping, calibration, exact resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from histoxplain._device import resolve_device
from histoxplain._malloc import keep_freed_memory
from histoxplain._ranks import RankError, first
from histoxplain.data import fingerprint, open_source
from histoxplain.models.architectures import preprocessing, start_of
from histoxplain.models.classifier import ClassifierConfig, load_classifier, save_classifier
from histoxplain.train.calibration import calibrate
from histoxplain.train.classifier_run import BEST, ClassifierRun, Progress
from histoxplain.train.config_classifier import BEFORE, CHANGEABLE, ClassifierTraining
from histoxplain.train.distributed import begin
from histoxplain.train.loop import STATE, open_run, save_json
from histoxplain.train.pixels import LabelledPixels, labelled_splits


def train_classifier(
    data: str | Path,
    out: str | Path,
    config: ClassifierTraining | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a classifier and measure it on the test split.

    Writes `config.json`, `log.jsonl`, `state.pt`, `classifier.safetensors` (the weights with the best balanced
    accuracy on the validation split, calibrated there) and `metrics.json` into `out`.

    Args:
        data: prepared data, or an image folder with a folder per class.
        out: the folder of this training.
        config: how to train.
        resume: continue an interrupted training exactly where its last snapshot was.
        quiet: no progress bar.

    Returns:
        What `metrics.json` holds: figures of the `validation` and `test` split.

    Raises:
        InputError: if the data, the settings or the folder do not fit.
        RankError: if another process of several ended; the last snapshot continues.

    Under torchrun the processes share each batch, and the first one writes; see `train.distributed`.
    """
    keep_freed_memory()
    config = config or ClassifierTraining()
    begin(config.device)
    source = open_source(data)
    classes = ClassifierConfig(
        class_names=source.class_names,
        architecture=config.architecture,
        resolution=config.resolution or _side(config.architecture, source.resolution),
        channels=source.channels,
        pretrained=config.pretrained,
    )
    splits = labelled_splits(source, classes.resolution, config.seed)
    origin = {"start": start_of(classes.architecture, classes.pretrained), "data": fingerprint(source)}
    state = first(lambda: open_run(out, asdict(config), resume, CHANGEABLE, BEFORE))
    device = resolve_device(config.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        training = ClassifierRun(
            classes if state is None else replace(classes, pretrained=False), config, splits, Path(out)
        )
        if state is not None:
            training.restore(state)
        try:
            training.run(quiet)
        except RankError as error:
            raise RankError(f"{error}; --resume continues from {Path(out) / STATE}, if there is one yet") from error
    return first(lambda: finish(Path(out), splits, config, training.progress, origin))


def _side(architecture: str, own: int | None) -> int | None:
    """At which side a network looks at images of side `own`; None leaves it to the architecture."""
    return own if own is not None and own >= preprocessing(architecture).smallest else None


def finish(
    out: Path,
    splits: dict[str, LabelledPixels],
    config: ClassifierTraining,
    done: Progress,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Calibrate the best weights on the validation split, measure them on the test split, write both files."""
    classifier = load_classifier(out / BEST).to(resolve_device(config.device), memory_format=torch.channels_last)
    figures: dict[str, Any] = {
        "architecture": config.architecture,
        **origin,
        "best_epoch": done.best_epoch,
        "images_seen": done.images,
        "training_images": len(splits["train"]),
        **calibrate(classifier, splits, config.batch),
    }
    save_classifier(out / BEST, classifier, meta=figures)
    save_json(out / "metrics.json", figures)
    return figures
