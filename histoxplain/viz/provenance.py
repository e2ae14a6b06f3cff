"""Where a report comes from: program, checkpoints, data and its licence, and the command that makes it again."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest
from html import escape
from pathlib import Path
from typing import Any

import torch

from histoxplain import __version__


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a report says of its own making; folders of the machine are no part of it."""

    command: str = ""
    """What makes it again."""
    bundle: str = ""
    """Name and title of the networks."""
    data: str = ""
    """What they learnt from."""
    licence: str = ""
    """Of those data."""
    seed: int | None = None
    """That fixed every draw."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every checkpoint, by file name."""


def provenance_of(
    model: Any, command: str = "", seed: int | None = None, files: Sequence[str | Path] | None = None
) -> Provenance:
    """What is known of a bundle.

    Args:
        model: a bundle; of anything else only the files are named.
        command: what makes the report again; see `command_line`.
        seed: that fixed every draw.
        files: the checkpoints; by default all of the bundle.
    """
    info, folder = getattr(model, "info", {}), getattr(model, "path", None)
    if files is None:
        files = [folder / name for name in info.get("files", {}).values()] if folder is not None else []
    name, title = getattr(model, "name", ""), info.get("title", "")
    return Provenance(
        command=command,
        bundle=f"{name} ({title})" if title else name,
        data=info.get("data", ""),
        licence=info.get("licence", "none named") if name else "",
        seed=seed,
        files={Path(file).name: sha256_of(file) for file in files},
    )


def sha256_of(path: str | Path) -> str:
    """The digest of a file, 64 hexadecimal digits, as `sha256sum` prints it."""
    with Path(path).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def command_line(verb: str, words: Sequence[str | Path] = (), **options: Any) -> str:
    """A command as one would type it, with file names in place of paths.

    Args:
        verb: of histoxplain.
        words: what comes before the options.
        options: by name; None and False are left out, True is a switch, and of several values all follow.

    Example:
        >>> command_line("explain", [Path("/somewhere/a b.png")], target="benign", count=2, fit=True, mask=None)
        "histoxplain explain 'a b.png' --target benign --count 2 --fit"
    """
    parts = ["histoxplain", *verb.split(), *(_typed(word) for word in words)]
    for name, value in options.items():
        if value is not None and value is not False and value != ():
            parts += _option(f"--{name.replace('_', '-')}", value)
    return " ".join(parts)


def _option(name: str, value: Any) -> list[str]:
    values = list(value) if isinstance(value, list | tuple) else [] if value is True else [value]
    words = [_typed(one) for one in values]
    return [f"{name}={words[0]}"] if words and words[0].startswith("-") else [name, *words]


def first_sentence(text: str) -> str:
    """What stands before the first full stop that ends a sentence.

    Example:
        >>> first_sentence("Tiles (Cohen et al., 2018), 128 px. Trained in four legs. And more.")
        'Tiles (Cohen et al., 2018), 128 px.'
    """
    first, stop, rest = text.partition(". ")
    return first + "." if stop and rest else text


def _typed(value: Any) -> str:
    """One word, quoted where the shell wants it; of a path, also one after "=", only its name."""
    name, equals, text = str(value).rpartition("=") if isinstance(value, str) else ("", "", str(value))
    known = isinstance(value, Path) or Path(text).is_absolute() or Path(text).exists()
    return shlex.quote(name + equals + (Path(text).name if known else text))


def provenance_html(given: Provenance | None) -> str:
    """The part of a page that says it, as HTML."""
    given = given or Provenance()
    versions = f"histoxplain {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}"
    rows = {
        "Networks": escape(given.bundle),
        "Learnt from": escape(first_sentence(given.data)),
        "Licence of the data": escape(given.licence),
        "Checkpoints (SHA-256)": "<br>".join(
            f"{escape(name)} <code>{digest}</code>" for name, digest in given.files.items()
        ),
        "Seed": "" if given.seed is None else str(given.seed),
        "Made by": escape(versions),
        "Make it again": f"<code>{escape(given.command)}</code>" if given.command else "",
    }
    shown = "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in rows.items() if words)
    return f'<aside class="provenance"><h2>Where this report comes from</h2><dl>{shown}</dl></aside>'
