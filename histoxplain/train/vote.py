"""Let trained classifiers vote: nothing is trained but the temperature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from histoxplain._checks import check
from histoxplain._device import resolve_device
from histoxplain.data import fingerprint, open_source
from histoxplain.models.classifier import Classifier, load_classifier, save_classifier
from histoxplain.models.vote import Vote
from histoxplain.train.calibration import calibrate
from histoxplain.train.classifier_run import BEST
from histoxplain.train.loop import save_json
from histoxplain.train.pixels import labelled_splits


def train_vote(
    data: str | Path,
    members: Sequence[str | Path],
    out: str | Path,
    kind: Literal["soft", "hard"] = "soft",
    batch: int = 32,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Any]:
    """Put classifiers together as a `Vote`, calibrate it on the validation split and measure it on the test split.

    Writes `classifier.safetensors`, which holds all members and goes into a bundle like any other, and `metrics.json`
    into `out`.

    Args:
        data: the data that the members were trained on, with the same split.
        members: checkpoints of two or more classifiers.
        out: the folder.
        kind: "soft" (mean of probabilities) or "hard" (share of first choices).
        batch: images at once.
        seed: of the split, where the data have none; that of the members' trainings.
        device: where to compute.

    Returns:
        What `metrics.json` holds: `temperature`, and figures of the `validation` and `test` split.

    Raises:
        InputError: if members do not fit each other or the data.
    """
    out = Path(out)
    check(not out.is_file(), "out", "be a folder", f"the file {out}", "choose another name")
    loaded = [load_classifier(path) for path in members]
    single = all(isinstance(member, Classifier) for member in loaded)
    check(single, "members", "be single classifiers", "a vote among them", "name its members instead")
    vote = Vote(loaded, kind).to(resolve_device(device)).eval()
    source = open_source(data)
    same = tuple(source.class_names) == vote.class_names
    check(same, "data", f"have the classes {', '.join(vote.class_names)}", ", ".join(source.class_names))
    splits = labelled_splits(source, vote.resolution, seed)
    figures = {
        "kind": kind,
        "members": [member.config.architecture for member in loaded],
        "data": fingerprint(source),
        **calibrate(vote, splits, batch),
    }
    save_classifier(out / BEST, vote, meta=figures)
    save_json(out / "metrics.json", figures)
    return figures
