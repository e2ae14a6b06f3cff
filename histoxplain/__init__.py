"""What would this tissue have to look like for the classifier to change its mind?

`data.Case -> models.Classifier -> models.Generator -> explain -> viz | widgets`; `train` fills checkpoints.
Rooms load on first touch: importing histoxplain takes milliseconds and does not import torch.
"""

from histoxplain._lazy import attach

__version__ = "0.1.0"

_names = {"_checks": ["InputError"], "models.bundle": ["load_bundle"]}
_rooms = ["cli", "data", "evaluation", "explain", "metrics", "models", "ops", "train", "viz", "widgets"]
__getattr__, __dir__, __all__ = attach(__name__, _names, _rooms)
