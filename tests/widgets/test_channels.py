from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.widgets import ExploreSession
from histoxplain.widgets.channels import telling_channels


def test_what_is_suggested_leads_there(bundle, latents):
    session = ExploreSession(bundle, latents, {})
    place = session.place(0)
    found = telling_channels(session, place, "red", count=2)
    assert found[0][2] >= found[1][2] > 0

    def chance(by):
        moved = replace(place, channels=((*found[0][:2], by),))
        return float(session.at(moved).probabilities[2])

    assert max(chance(4.0), chance(-4.0)) > chance(0.0)


def test_says_what_is_wrong(bundle, latents):
    session = ExploreSession(bundle, latents, {})
    with pytest.raises(InputError, match="`target` must be one of"):
        telling_channels(session, session.place(0), "blue")


def test_searches_end_without_gradients_in_the_networks(bundle, latents):
    session = ExploreSession(bundle, latents, {})
    telling_channels(session, session.place(1), "pale", count=1)
    assert all(weight.grad is None for weight in bundle.generator.parameters())
    assert torch.isfinite(session.at(session.place(1)).image).all()
