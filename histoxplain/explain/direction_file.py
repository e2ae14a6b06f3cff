"""Directions and style coordinates in files: safetensors, with all that is not a tensor as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check, check_exists


def save_fields(path: str | Path, record: object, form: str) -> Path:
    """Write the fields of a dataclass, tensors and JSON types, to one file, whole or not at all.

    Args:
        path: the file.
        record: the dataclass.
        form: what kind of file this is, and its version.
    """
    tensors = {name: value for name, value in vars(record).items() if isinstance(value, Tensor)}
    rest = {name: value for name, value in vars(record).items() if name not in tensors}
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with replacing(path) as part:
        save_file(tensors, part, metadata={"format": form, "record": json.dumps(rest)})
    return Path(path)


def load_fields(path: str | Path, form: str, what: str) -> dict[str, Any]:
    """Read what `save_fields` wrote; JSON's lists come back as tuples.

    Args:
        path: the file.
        form: see `save_fields`.
        what: what to call its content in errors.

    Raises:
        InputError: if the file is missing, damaged or of another kind.
    """
    path = check_exists("path", path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            check(metadata.get("format") == form, "path", f"hold {what}", path, "find them again")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rest = json.loads(metadata["record"])
        return tensors | {name: tuple(value) if isinstance(value, list) else value for name, value in rest.items()}
    except (OSError, SafetensorError, KeyError, AttributeError, json.JSONDecodeError) as error:
        raise InputError(f"`path` must be a whole file of {what}, got {path}; find them again.") from error
