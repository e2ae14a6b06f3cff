import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.data.stain import H_AND_E
from histoxplain.explain import LatentSearch
from histoxplain.explain.lock import Lock
from histoxplain.explain.stain_change import stain_change


def locked(dials, *names):
    return torch.nonzero(~Lock(dials.generator, names).styles).flatten().tolist()


def test_names_stand_for_layers_channels_thirds_and_stain(dials):
    assert locked(dials, "b8.conv0") == [4, 5]
    assert locked(dials, "b8.conv0 1 up", "b4.conv1 0") == [0, 5]
    assert locked(dials, "coarse") == [0, 1]
    assert locked(dials, "fine") == [6, 7]
    assert locked(dials, "stain") == [2, 3, 4, 5, 6, 7]  # torgb, and the convolutions of 8 x 8 of 16 pixels


def test_latents_that_feed_locked_layers_stay_to_the_bit(dials):
    (e,) = LatentSearch(dials, lock="b8.conv1").explain_latents(torch.zeros(1, 3, 6), "red")
    start, end = e.latents["start"], e.latents["end"][0]
    assert end[2].equal(start[2])
    assert not end[:2].equal(start[:2])
    assert e.valid.all()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["b8.conv7"], "b8.conv"),
        (["b8.conv1 9"], "channel from 0 to 1"),
        (["b8.conv1 x"], "channel from 0 to 1"),
        (["coarse", "middle", "fine"], "leave a layer free"),
    ],
)
def test_what_cannot_be_locked(dials, names, words):
    with pytest.raises(InputError, match=words):
        Lock(dials.generator, names)


def test_single_channels_need_stylespace(dials):
    with pytest.raises(InputError, match='method "style"'):
        LatentSearch(dials, lock="b8.conv1 0")


def test_a_generator_without_styles_locks_nothing(bundle):
    with pytest.raises(InputError, match="without styles"):
        LatentSearch(bundle, lock="fine")


def test_stain_change_is_relative_and_told_apart():
    def stained(h, e):
        light = 10 ** -(h * torch.tensor(H_AND_E[0]) + e * torch.tensor(H_AND_E[1]))
        return (2 * light - 1)[:, None, None].expand(3, 4, 4)

    change = stain_change(stained(0.3, 0.2), stained(0.45, 0.2))
    assert change["haematoxylin"] == pytest.approx(0.5, abs=0.01)
    assert change["eosin"] == pytest.approx(0.0, abs=0.01)
