"""Names that people give to concepts, kept with the concept model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from histoxplain._checks import check
from histoxplain.explain.concepts import concept_model, concept_number
from histoxplain.models.viscoin import save_concepts

if TYPE_CHECKING:
    from histoxplain.models import Bundle


def name_concepts(bundle: Bundle, names: Mapping[int | str, str]) -> Path:
    """Name some concepts, and save the names in the bundle's concept model, where everybody who loads it finds them.

    The file is replaced whole or not at all; weights stay as they are.

    Args:
        bundle: with a concept model, loaded from a folder.
        names: concept, by its number from 0 or by the name it has, to its new name; "" takes a name away.

    Returns:
        The file.

    Raises:
        InputError: if there is no such concept, two would have the same name, or the bundle is not in a folder.
    """
    model = concept_model(bundle)
    file = getattr(bundle, "info", {}).get("files", {}).get("concepts")
    check(file is not None, "bundle", "be loaded from a folder with a concept model", bundle.name)
    model.rename({concept_number(model, concept): name for concept, name in names.items()})
    return save_concepts(Path(bundle.path) / file, model)
