"""What trainings beside a generator and a classifier that exist are told: these two, by bundle or by file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from histoxplain._checks import check

if TYPE_CHECKING:
    from histoxplain.models import Bundle, Classifier, Generator


@dataclass(frozen=True)
class BesideCommand:
    """Options of `histoxplain train encoder` and `histoxplain train viscoin`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """LMDB made by `histoxplain prepare`; its train split is used."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    bundle: str | None = None
    """Bundle, by name or folder, whose networks to take."""
    generator: Path | None = None
    """Generator checkpoint: ours, NVIDIA's .pkl, rosinality's .pt; in place of the bundle's."""
    classifier: Path | None = None
    """Classifier checkpoint, in place of the bundle's."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands."""

    def networks(self, what: str) -> tuple[Bundle | None, Generator, Classifier]:
        """The bundle, if one was named, and the generator and the classifier to train beside.

        Args:
            what: is trained; for messages.

        Raises:
            InputError: if one of the two is missing.
        """
        both = self.generator is not None and self.classifier is not None
        check(self.bundle is not None or both, "bundle", "be named, or a generator and a classifier", None)
        from histoxplain.models import load_bundle, load_classifier, load_generator
        from histoxplain.models.bundle import check_part

        known = load_bundle(self.bundle) if self.bundle is not None else None
        if self.generator is None:
            check_part(known, "generator", what, "or name one with --generator")
        generator = known.generator if self.generator is None else load_generator(self.generator)
        classifier = known.classifier if self.classifier is None else load_classifier(self.classifier)
        return known, generator, classifier

    def names(self, *roles: str) -> dict[str, str | None]:
        """What the user named for some roles, as the training writes it down."""
        named = {role: getattr(self, role) for role in roles}
        return {role: None if name is None else str(name) for role, name in named.items()}
