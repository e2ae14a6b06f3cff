import math

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.metrics import needed_share


def grey(*values):
    return torch.tensor(values).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)


def test_the_share_is_where_the_classifier_changes_its_mind():
    """From 0 the classifier says yes at 0.3: of changes to 0.3, 0.6 and 1.0 it takes 1, 1/2 and 3/10."""
    share = needed_share(grey(0.0, 0.0, 0.0), grey(0.3, 0.6, 1.0), lambda x, _: x.mean((1, 2, 3)) >= 0.3 - 1e-6)
    assert share.tolist() == pytest.approx([1.0, 0.5, 0.3], abs=1 / 256)
    assert (share >= torch.tensor([1.0, 0.5, 0.3]) - 1e-6).all()  # from above: what is reported is enough


def test_every_image_is_asked_for_its_own_target():
    wanted = torch.tensor([0.2, -0.8])
    share = needed_share(grey(0.0, 0.0), grey(1.0, -1.0), lambda x, i: (x.mean((1, 2, 3)) / wanted[i]) >= 1)
    assert share.tolist() == pytest.approx([0.2, 0.8], abs=1 / 128)


def test_the_first_failure_on_the_way_back_ends_it():
    """Valid near 1 and again near the original: what counts is how far one can go back without losing it."""
    share = needed_share(grey(0.0), grey(1.0), lambda x, _: (x.mean((1, 2, 3)) - 0.5).abs() >= 0.25)
    assert share.item() == pytest.approx(0.75, abs=1 / 128)


def test_what_was_never_valid_has_none():
    share = needed_share(grey(0.0, 0.0), grey(1.0, 0.1), lambda x, _: x.mean((1, 2, 3)) > 0.5)
    assert math.isnan(share[1])
    assert share[0] == pytest.approx(0.5, abs=1 / 128)
    assert needed_share(grey(0.0), grey(1.0), lambda x, _: x.mean((1, 2, 3)) > -1).item() == 0


def test_wrong_arguments():
    with pytest.raises(InputError, match="`changed` must have shape"):
        needed_share(grey(0.0), grey(0.0, 0.0), lambda x, _: x)
    with pytest.raises(InputError, match="`steps` must be at least 1"):
        needed_share(grey(0.0), grey(0.0), lambda x, _: x, steps=0)
