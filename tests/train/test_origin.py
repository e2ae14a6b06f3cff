from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.models import Discriminator, DiscriminatorConfig, convert, save_discriminator, save_generator
from histoxplain.ops import setup_filter, upsample2d
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.networks import make_discriminator, make_generator
from histoxplain.train.origin import origin, shape_of

SMALL = GANConfig(channel_base=256, channel_max=16, z_dim=8, w_dim=12, mapping_layers=3, mbstd_group=2)


def run(folder, classes=(), resolution=16, config=SMALL):
    """A training's folder with networks whose mean of w is not zero."""
    G, D = make_generator(config, resolution, 3, classes), make_discriminator(config, resolution, 3, classes)
    torch.nn.init.normal_(G.mapping.w_avg)
    save_generator(folder / "generator.safetensors", G)
    save_discriminator(folder / "discriminator.safetensors", D)
    return folder, G, D


@pytest.fixture
def foreign(tmp_path):
    """A .pt file in NVIDIA's names, and its networks."""
    folder, G, D = run(tmp_path / "source")
    convert(folder, tmp_path / "ffhq.pt", layout="nvidia")
    return tmp_path / "ffhq.pt", G, D


@torch.no_grad()
def test_a_foreign_file_begins_both_networks(foreign):
    path, G, D = foreign
    config = replace(GANConfig(start_from=str(path), mbstd_group=2), **shape_of(path))
    z = torch.randn(2, 8)
    begun = make_generator(config, 16, 3)
    torch.testing.assert_close(begun(z), G(z))
    assert begun.config.mapping_layers == 3
    torch.testing.assert_close(make_discriminator(config, 16, 3)(G(z)), D(G(z)))


@torch.no_grad()
def test_new_classes_begin_with_the_images_of_none(foreign, capsys):
    path, G, _ = foreign
    config = replace(SMALL, start_from=str(path))
    z = torch.randn(3, 8)
    begun = make_generator(config, 16, 3, ("a", "b", "c"))
    torch.testing.assert_close(begun(z, torch.eye(3)), G(z))
    make_discriminator(config, 16, 3, ("a", "b", "c"))
    said = capsys.readouterr().out
    assert f"Generator: from {path}, 0 -> 3 classes\nGenerator: starting fresh with mapping.embed\n" in said
    assert "Discriminator: starting fresh with mapping.embed, mapping.fc0" in said
    assert "b4.out" in said
    assert "b16" not in said


@torch.no_grad()
def test_fewer_classes_keep_everything_but_the_labels(tmp_path, capsys):
    folder, G, _ = run(tmp_path / "three", tuple("abc"))
    begun = make_generator(replace(SMALL, start_from=str(folder)), 16, 3, tuple("de"))
    assert "3 -> 2 classes\nGenerator: starting fresh with mapping.embed\n" in capsys.readouterr().out
    ws = torch.randn(2, G.num_ws, 12)
    torch.testing.assert_close(begun.synthesis(ws), G.synthesis(ws))


@torch.no_grad()
def test_a_larger_source_gives_its_lower_blocks(tmp_path, capsys):
    folder, G, _ = run(tmp_path / "large", resolution=32)
    config = replace(SMALL, start_from=str(folder))
    begun = make_generator(config, 16, 3)
    ws = torch.randn(2, G.num_ws, 12)
    styles = G.styles(ws)
    torch.testing.assert_close(begun.synthesis(ws[:, :6]), G.synthesis.from_styles(styles, until=16))
    make_discriminator(config, 16, 3)
    assert "Discriminator: starting fresh with b16.fromrgb\n" in capsys.readouterr().out


@torch.no_grad()
def test_half_the_resolution_grows_with_new_classes(foreign, capsys):
    path, G, _ = foreign
    config = replace(SMALL, start_from=str(path))
    z, f = torch.randn(2, 8), setup_filter([1, 3, 3, 1])
    begun = make_generator(config, 32, 3, ("a", "b"))
    torch.testing.assert_close(begun(z, torch.eye(2)), upsample2d(G(z), f))
    make_discriminator(config, 32, 3, ("a", "b"))
    assert "16 -> 32 px, 0 -> 2 classes" in capsys.readouterr().out


@torch.no_grad()
def test_planes_of_labels_are_left_out(tmp_path, capsys):
    shape = DiscriminatorConfig(
        resolution=16, channel_base=256, channel_max=16, c_dim=2, label_planes=True, mbstd_group_size=2
    )
    D = Discriminator(shape)
    torch.nn.init.zeros_(D.label_rows)  # the planes say nothing
    run(tmp_path / "run")
    save_discriminator(tmp_path / "run/discriminator.safetensors", D)
    begun = make_discriminator(replace(SMALL, start_from=str(tmp_path / "run")), 16, 3)
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(begun(x), D(x, torch.eye(2)[[0, 1, 0, 1]]))
    assert "2 -> 0 classes\n" in capsys.readouterr().out


def test_a_generator_without_a_discriminator(tmp_path, capsys):
    folder, *_ = run(tmp_path / "run")
    (folder / "discriminator.safetensors").unlink()
    assert origin(folder / "generator.safetensors", "discriminator") is None
    make_discriminator(replace(SMALL, start_from=str(folder / "generator.safetensors")), 16, 3)
    assert "Discriminator: starting fresh" in capsys.readouterr().out


def test_a_file_of_ours_knows_its_companions(tmp_path):
    folder, *_ = run(tmp_path / "run")
    assert origin(folder / "generator.safetensors", "discriminator") == folder / "discriminator.safetensors"
    assert origin(folder, "encoder") is None


def test_what_cannot_begin_a_training_is_refused(tmp_path):
    with pytest.raises(InputError, match="`start_from` must be an existing"):
        shape_of(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="hold a generator"):
        shape_of(tmp_path)
    (tmp_path / "page.pkl").write_text("<html>")
    with pytest.raises(InputError, match="web page"):
        shape_of(tmp_path / "page.pkl")
    folder, *_ = run(tmp_path / "tiny", resolution=8)
    with pytest.raises(InputError, match="16 px or more, got 8 px"):
        make_generator(replace(SMALL, start_from=str(folder)), 32, 3)


@torch.no_grad()
def test_a_network_pickle_of_nvidia(shared, capsys):
    path = shared / "fixtures/stylegan2/r32_c2.pkl"
    config = GANConfig(start_from=str(path), **shape_of(path))
    G = make_generator(config, 32, 3, ("a", "b", "c"))
    make_discriminator(config, 32, 3, ("a", "b", "c"))
    assert "2 -> 3 classes\nGenerator: starting fresh with mapping.embed\n" in capsys.readouterr().out
    assert G.mapping.w_avg.abs().sum() > 0
