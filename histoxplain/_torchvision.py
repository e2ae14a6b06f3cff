"""Import torchvision safely.

torchvision's wheel from the package index cannot load its compiled ops beside a CPU build of torch and then fails with
`operator torchvision::nms does not exist`. Its models and transforms need none of these ops: declaring the two missing
schemas lets the import succeed.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def _declare_missing_ops() -> torch.library.Library:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for op in ("nms", "qnms"):
        library.define(op + _SCHEMA)
    return library


@cache
def torchvision() -> ModuleType:
    """The torchvision module, imported so that it works beside any build of torch."""
    try:
        return import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declare_missing_ops()
    return import_module("torchvision")
