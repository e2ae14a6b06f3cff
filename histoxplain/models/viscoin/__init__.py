"""VisCoIN: concepts that predict what a classifier says and that a generator can show."""

from histoxplain.models.viscoin.checkpoints import load_concepts, save_concepts
from histoxplain.models.viscoin.config import ConceptConfig
from histoxplain.models.viscoin.model import ConceptModel, Concepts

__all__ = ["ConceptConfig", "ConceptModel", "Concepts", "load_concepts", "save_concepts"]
