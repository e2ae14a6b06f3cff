"""What every training shares: its folder, its log, its snapshots and its progress bar."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check_exists
from histoxplain._optional import require
from histoxplain._ranks import rank

STATE = "state.pt"


def open_run(
    out: str | Path,
    config: Mapping[str, Any],
    resume: bool = False,
    changeable: tuple[str, ...] = (),
    defaults: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Make (or reopen) the folder of a training and write its `config.json`.

    Args:
        out: the folder `RUN`.
        config: the training's settings; must survive JSON.
        resume: continue from `RUN/state.pt`; without one, start from the beginning.
        changeable: the settings that may differ from those of the interrupted training.
        defaults: what settings were before they existed, for a training that began before they did.

    Returns:
        The snapshot to continue from, or None for a fresh start.

    Raises:
        InputError: if `out` holds a training and `resume` is not asked for, or was made with other settings.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"`out` must be a folder, got the file {out}; choose another name.")
    state = None
    if (out / STATE).exists():
        if not resume:
            raise InputError(
                f"`out` must not hold a training yet, got {out}; --resume alone continues it, or choose another."
            )
        _check_same(out / "config.json", json.loads(json.dumps(config)), changeable, defaults or {})
        state = load_snapshot(out / STATE)
    save_json(out / "config.json", config)
    return state


def _check_same(path: Path, config: dict[str, Any], changeable: tuple[str, ...], defaults: Mapping[str, Any]) -> None:
    try:
        before = {**defaults, **json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"`out` must hold a readable config.json, got {path}; start again in a new folder.") from error
    for name in sorted({*before, *config} - set(changeable)):
        if before.get(name) != config.get(name):
            raise InputError(
                f"`{name}` must stay {before.get(name)!r} when resuming, got {config.get(name)!r}; "
                f"start a new training in another folder instead."
            )


def save_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, atomically."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def save_snapshot(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dictionaries of them with `torch.save`, atomically."""
    with replacing(path) as part:
        torch.save(dict(state), part)


def load_snapshot(path: str | Path) -> dict[str, Any]:
    """Read a snapshot onto the CPU, with `weights_only=True`.

    Raises:
        InputError: if the file is missing or damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_snapshot(f"{folder}/state.pt", {"step": 3, "p": torch.tensor(0.5)})
        ...     load_snapshot(f"{folder}/state.pt")
        {'step': 3, 'p': tensor(0.5000)}
    """
    path = check_exists("path", path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or ["it ends early"])[0]
        raise InputError(f"`path` must be a whole training snapshot, got {path} ({reason}); start again.") from error


class JsonLog:
    """One JSON object a line, flushed at once.

    Args:
        path: the file `RUN/log.jsonl`.
        keep: how many lines of an interrupted training to keep; later ones are cut off, so that a resumed log reads
            like an uninterrupted one. A snapshot stores `log.lines` for this.
        tracker: of `start_wandb`; gets every line too.
    """

    def __init__(self, path: str | Path, keep: int = 0, tracker: Any | None = None) -> None:
        self.path, self.tracker = Path(path), tracker
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text(encoding="utf-8").splitlines()[:keep] if keep and self.path.exists() else []
        with replacing(self.path) as part:
            part.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        self.lines = len(lines)

    def write(self, **values: Any) -> None:
        """Append one line; floats are rounded to six significant digits."""
        rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        self.lines += 1
        if self.tracker is not None:
            self.tracker.log(rounded)


def start_wandb(out: str | Path, config: Mapping[str, Any]) -> Any:
    """Begin a Weights & Biases run for a training; with `WANDB_MODE=offline` it stays in the folder `out`.

    Raises:
        ImportError: if wandb is not installed, with the command that installs it.
    """
    wandb = require("wandb", extra="wandb")
    Path(out).mkdir(parents=True, exist_ok=True)
    return wandb.init(project="histoxplain", name=Path(out).name, dir=str(out), config=dict(config), resume="allow")


def progress(total: int, done: int = 0, what: str = "", unit: str = "step", quiet: bool = False) -> tqdm:
    """A progress bar on stderr; one line every half minute where stderr is not a terminal.

    Args:
        total: steps (or images) in all.
        done: those done before a resume.
        what: the words before the bar.
        unit: what is counted.
        quiet: no bar at all.
    """
    pause = 0.2 if sys.stderr.isatty() else 30.0
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        unit_scale=unit == "img",
        disable=quiet or rank() > 0,
        mininterval=pause,
        dynamic_ncols=True,
    )
