"""Explanations that are known on paper, of the explainers' own stand-ins and of synthetic tissue."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from histoxplain.explain import Explanation, change_map

_path = Path(__file__).parents[1] / "explain" / "conftest.py"
_spec = spec_from_file_location("explain_stand_ins", _path)
_stand_ins = module_from_spec(_spec)
_spec.loader.exec_module(_stand_ins)


@pytest.fixture
def bundle():
    """Colours, a classifier of redness, and a stricter oracle."""
    return _stand_ins.Bundle(_stand_ins.Paint(), _stand_ins.Redness(), _stand_ins.Redness(width=0.3))


@pytest.fixture
def explain():
    """Write down that `original` was turned into `counterfactuals`."""

    def write(original, counterfactuals, valid, names, source, target, case_id="x", reconstruction=None, seconds=3.0):
        x = torch.stack(list(counterfactuals)) if len(counterfactuals) else original[None][:0]
        return Explanation(
            method="latent",
            case_id=case_id,
            original=original,
            reconstruction=reconstruction,
            counterfactuals=x,
            class_names=tuple(names),
            source_class=source,
            target_class=target,
            probabilities_before=torch.eye(len(names))[source],
            probabilities_after=torch.zeros(len(x), len(names)),
            valid=torch.tensor(valid, dtype=torch.bool),
            change=change_map((original if reconstruction is None else reconstruction)[None], x),
            settings={"count": max(len(x), 1)},
            seconds=seconds,
        )

    return write
