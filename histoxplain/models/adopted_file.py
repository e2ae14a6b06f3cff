"""An adopted classifier on disk: the exported network as it came, and a JSON file beside it that says how to use it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check, check_exists
from histoxplain.models.adopted import AdoptedClassifier, adopt_classifier, describe_adopted

FORMAT = "histoxplain.classifier/1"


def save_adopted(path: str | Path, classifier: AdoptedClassifier) -> Path:
    """Write a description, and a copy of the network beside it under the same name.

    Args:
        path: the description, `*.json`.
        classifier: adopted from a file.

    Raises:
        InputError: if it was adopted from something that lives in memory only, or `path` is no .json file.
    """
    path = Path(path)
    check(path.suffix == ".json", "path", "be a .json file", path)
    check(classifier.path is not None, "classifier", "come from a file", "a network in memory", "export it first")
    network = path.with_suffix(classifier.path.suffix.lower())
    if not network.exists() or not network.samefile(classifier.path):
        with replacing(network) as part:
            shutil.copyfile(classifier.path, part)
    description = {"format": FORMAT, "file": network.name, **describe_adopted(classifier)}
    with replacing(path) as part:
        part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return path


def load_adopted(path: str | Path) -> AdoptedClassifier:
    """Read what `save_adopted` wrote.

    Raises:
        InputError: if the file is missing, says something else, or the network beside it does not fit it.
    """
    path = check_exists("path", path)
    settings = described(path)
    network = path.parent / Path(settings.pop("file")).name
    try:
        return adopt_classifier(network, **settings)
    except TypeError as error:
        raise InputError(f"`path` must describe a classifier, got {path} ({error}); adopt it again.") from error


def described(path: str | Path) -> dict[str, Any]:
    """What a description says: `file`, the network's name, and the settings of `AdoptedConfig`.

    Raises:
        InputError: if it is missing or is no such description.
    """
    path = check_exists("path", path)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        complete = settings.pop("format") == FORMAT and {"file", "class_names"} <= set(settings)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        complete = False
    check(complete, "path", f"describe a classifier in format {FORMAT}", path, "write it with `histoxplain adopt`")
    return settings
