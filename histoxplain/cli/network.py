"""What a user may name where a generator is wanted: a bundle, a training's folder, or anybody's checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

from histoxplain._checks import InputError, check
from histoxplain.explain import as_bundle
from histoxplain.explain.explainer import class_index
from histoxplain.models import Bundle, Generator, load_bundle, load_generator
from histoxplain.models.bundle import DESCRIPTION, check_part
from histoxplain.models.foreign import is_foreign
from histoxplain.models.foreign.normalisation import NORMALISED, is_normalised

MOST = 100_000
"""Numbers in one range, at most."""


def open_network(name: str, precision: str = "auto") -> Bundle:
    """A bundle by name or folder; a generator of `load_generator`, or of a training's folder, as one without judge.

    Args:
        name: what the user named.
        precision: of the convolutions; see `Generator.set_precision`.

    Raises:
        InputError: if there is no such bundle or file, or the bundle has no generator.
    """
    path = Path(name)
    if (path / "generator.safetensors").is_file() and not (path / DESCRIPTION).exists():
        path = path / "generator.safetensors"
    if not path.is_file() and not path.suffix:
        bundle = load_bundle(name, precision=precision)
        check_part(bundle, "generator", "this verb")
        return bundle
    G = load_generator(path, precision=precision)
    if is_foreign(path) and is_normalised(vars(G.config)):
        hint = f"convert it first: histoxplain convert {path} DESTINATION --image-range imagenet"
        print(f"histoxplain: {NORMALISED}; {hint}", file=sys.stderr)
    return as_bundle(G, name=path.name, path=path)


def labels_of(bundle: Bundle, wanted: str | None) -> list[int]:
    """The class a user asked for, or all that the generator was taught; none without labels.

    Raises:
        InputError: if there is no such class.
    """
    G: Generator = bundle.generator
    if not G.c_dim:
        if wanted is not None:
            raise InputError(f"`class` must be left out for a generator without labels, got {wanted!r}.")
        return []
    return list(range(G.c_dim)) if wanted is None else [class_index(wanted, bundle.class_names, "class")]


def numbers(name: str, text: str) -> list[int]:
    """Numbers as people list them.

    Raises:
        InputError: if it is no such list.

    Example:
        >>> numbers("seeds", "0-3,85")
        [0, 1, 2, 3, 85]
    """
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        whole = low.isdecimal() and (high or low).isdecimal()
        first, last = (int(low), int(high or low)) if whole else (1, 0)
        known = first <= last < 2**32 and last - first < MOST
        check(known, name, f"be numbers and ranges such as 0-35,85, of {MOST} at most", repr(text))
        found += range(first, last + 1)
    return found
