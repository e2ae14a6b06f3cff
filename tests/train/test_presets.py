from typing import get_args

import pytest

from histoxplain import InputError
from histoxplain.train import AugmentPipe, GANConfig
from histoxplain.train.presets import Augmentations, Preset, augmentations, preset


@pytest.mark.parametrize("name", get_args(Preset))
def test_every_preset_is_a_configuration(name):
    config = GANConfig(**preset(name, 256))
    assert config.z_dim == config.w_dim == 512


@pytest.mark.parametrize(
    ("resolution", "devices", "batch", "group", "lr", "width"),
    [(32, 1, 32, 4, 0.0025, 16384), (64, 8, 64, 4, 0.0025, 16384), (1024, 1, 4, 4, 0.002, 32768)],
)
def test_auto_suits_the_resolution(resolution, devices, batch, group, lr, width):
    settings = preset("auto", resolution, devices)
    assert [settings[name] for name in ("batch", "mbstd_group", "lr", "channel_base")] == [batch, group, lr, width]
    assert settings["gamma"] == 0.0002 * resolution**2 / batch


def test_cifar_leaves_out_what_hurts_there():
    config = GANConfig(**preset("cifar", 32))
    assert (config.pl_weight, config.style_mixing, config.architecture_d) == (0, 0, "orig")


def test_augmentation_sets_grow_letter_by_letter():
    sizes = {name: len(augmentations(name)) for name in ("blit", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc")}
    assert sizes == {"blit": 3, "bg": 7, "bgc": 12, "bgcf": 13, "bgcfn": 14, "bgcfnc": 15}
    for name in get_args(Augmentations):
        AugmentPipe(**augmentations(name))


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(InputError, match="paper256"):
        preset("paper265", 256)
