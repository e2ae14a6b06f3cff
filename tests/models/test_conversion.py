import pytest
import torch

from histoxplain import InputError
from histoxplain.models import (
    Discriminator,
    DiscriminatorConfig,
    Encoder,
    EncoderConfig,
    Generator,
    GeneratorConfig,
    convert,
    load_checkpoint,
    load_discriminator,
    load_encoder,
    load_generator,
    save_discriminator,
    save_encoder,
    save_generator,
)

SIZES = {"resolution": 8, "channel_base": 16384, "channel_max": 512}
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
Z, C = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.eye(2)


@pytest.fixture
def folder(tmp_path):
    """The networks of HistoXplaining, in their shapes, as files of ours."""
    save_generator(tmp_path / "ours/generator.safetensors", generator(const_channels=532))
    D = Discriminator(DiscriminatorConfig(**SIZES, c_dim=2, label_planes=True))
    save_discriminator(tmp_path / "ours/discriminator.safetensors", D)
    E = Encoder(EncoderConfig(**SIZES, w_dim=4, num_ws=4, codes=4, head="norm"))
    save_encoder(tmp_path / "ours/encoder.safetensors", E)
    return tmp_path / "ours"


def generator(**changes):
    G = Generator(GeneratorConfig(**{**SIZES, "z_dim": 4, "w_dim": 4, "mapping_layers": 2, **changes}))
    G.mapping.w_avg += 1
    return G.eval()


def outputs(folder):
    G, D, E = (
        load(folder / f"{role}.safetensors", "cpu", "float32")
        for load, role in (
            (load_generator, "generator"),
            (load_discriminator, "discriminator"),
            (load_encoder, "encoder"),
        )
    )
    x = G(Z, None, 0.5)
    return x, D(x, C), E(x)


def test_there_and_back(folder, tmp_path):
    convert(folder, tmp_path / "theirs.pt")
    done = convert(tmp_path / "theirs.pt", tmp_path / "back", class_names=["a", "b"])
    assert [path.name for path in done.files] == [
        "generator.safetensors",
        "discriminator.safetensors",
        "encoder.safetensors",
    ]
    assert [note for note in done.notes if "imagenet" not in note] == []
    for before, after in zip(outputs(folder), outputs(tmp_path / "back"), strict=True):
        torch.testing.assert_close(after, before)
    assert load_checkpoint(done.files[1]).meta["class_names"] == ["a", "b"]
    assert load_checkpoint(done.files[0]).meta["converted_from"] == "theirs.pt"


def test_names_written_are_those_of_the_fixture(tmp_path, shared):
    import json

    shapes = json.loads((shared / "fixtures/rosinality/rosinality_shapes.json").read_text())
    save_generator(tmp_path / "o/generator.safetensors", generator(z_dim=64, w_dim=64, resolution=16))
    D = Discriminator(DiscriminatorConfig(**SIZES | {"resolution": 16}))
    save_discriminator(tmp_path / "o/discriminator.safetensors", D)
    convert(tmp_path / "o", tmp_path / "theirs.pt")
    contents = torch.load(tmp_path / "theirs.pt", weights_only=True)
    for part in ("g_ema", "d"):
        assert {name: list(value.shape) for name, value in contents[part].items()} == shapes[part]


def test_nvidia_names_carry_the_filters(tmp_path):
    save_generator(tmp_path / "g.safetensors", generator(c_dim=2, conv_clamp=256))
    done = convert(tmp_path / "g.safetensors", tmp_path / "g.pt", layout="nvidia")
    assert done.notes == ("build the generator with conv_clamp=256",)
    names = torch.load(tmp_path / "g.pt", weights_only=True)["G_ema"]
    assert {"synthesis.b8.resample_filter", "synthesis.b8.conv0.resample_filter", "mapping.w_avg"} <= names.keys()
    assert torch.equal(
        load_generator(tmp_path / "g.pt", "cpu")(Z, C),
        load_generator(tmp_path / "g.safetensors", "cpu", "float32")(Z, C),
    )


def test_normalised_images_become_unit_images(folder, tmp_path):
    convert(folder, tmp_path / "unit", image_range="imagenet")
    (x, d, e), (ours, *_) = outputs(folder), outputs(tmp_path / "unit")
    expected = (x * DEVIATION[:, None, None] + MEAN[:, None, None]) * 2 - 1
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
    D = load_discriminator(tmp_path / "unit/discriminator.safetensors", "cpu", "float32")
    E = load_encoder(tmp_path / "unit/encoder.safetensors", "cpu", "float32")
    torch.testing.assert_close(D(expected, C), d, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(E(expected), e, atol=1e-4, rtol=1e-4)


def test_networks_that_look_normalised_are_named(folder, tmp_path):
    convert(folder, tmp_path / "theirs.pt")
    (note,) = convert(tmp_path / "theirs.pt", tmp_path / "as it is").notes
    assert "--image-range imagenet" in note
    assert convert(tmp_path / "theirs.pt", tmp_path / "brought", image_range="imagenet").notes == ()
    assert convert(tmp_path / "brought", tmp_path / "ours.safetensors").notes == ()


def test_one_file_holds_the_generator(folder, tmp_path):
    done = convert(folder, tmp_path / "g.safetensors")
    assert done.files == (tmp_path / "g.safetensors",)
    assert load_checkpoint(done.files[0]).kind == "stylegan2.generator"


def test_existing_files_stay(folder, tmp_path):
    convert(folder, tmp_path / "g.safetensors")
    with pytest.raises(InputError, match="must not exist yet"):
        convert(folder, tmp_path / "g.safetensors")
    convert(folder, tmp_path / "g.safetensors", overwrite=True)


@pytest.mark.parametrize(
    ("shape", "target", "options", "says"),
    [
        ({}, "x.pkl", {}, "not ours to write"),
        ({"c_dim": 2}, "x.pt", {}, "a generator with c_dim 2; use the layout nvidia"),
        ({"channel_max": 64}, "x.pt", {}, "with the channels"),
        ({"architecture": "orig"}, "x.pt", {}, "with architecture orig"),
        ({"channels": 1}, "x", {"image_range": "imagenet"}, "`image_range` must be unit for grey"),
        ({"c_dim": 2}, "x", {"class_names": ["a"]}, "`class_names` must be 2 names, got a"),
        ({}, "x", {"image_range": "0..255"}, "`image_range` must be one of"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, shape, target, options, says):
    save_generator(tmp_path / "g.safetensors", generator(**shape))
    with pytest.raises(InputError, match=says):
        convert(tmp_path / "g.safetensors", tmp_path / target, **options)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"generator\.safetensors"):
        convert(tmp_path, tmp_path / "x.pt")
