import pytest
import torch

from histoxplain import InputError
from histoxplain.models import load_discriminator, load_encoder, load_generator
from histoxplain.models.foreign import read_foreign, write_state_dicts
from histoxplain.models.foreign.rosinality import discriminator_names, encoder_names, generator_names


@pytest.mark.parametrize("name", ["rosinality", "histoxplaining"])
def test_images_and_logits_match_reference(rosinality, name):
    path, arrays = rosinality(name)
    G, D = load_generator(path, "cpu"), load_discriminator(path, "cpu")
    ws = G.mapping(arrays["z"], None)
    torch.testing.assert_close(ws[:, 0], arrays["w"], atol=1e-5, rtol=0)
    torch.testing.assert_close(G.synthesis(ws), arrays["image"], atol=1e-4, rtol=0)
    torch.testing.assert_close(D(arrays["image"], arrays.get("labels")), arrays["d_logits"], atol=1e-4, rtol=0)


def test_encoder_matches_reference(rosinality):
    path, arrays = rosinality("histoxplaining")
    codes = load_encoder(path, "cpu")(arrays["image"])
    torch.testing.assert_close(codes, arrays["e_out"], atol=1e-4, rtol=0)
    torch.testing.assert_close(load_generator(path, "cpu").synthesis(codes), arrays["image_from_e"], atol=1e-4, rtol=0)


def test_files_of_old_torch(rosinality):
    path, arrays = rosinality("rosinality", legacy=True)
    torch.testing.assert_close(load_generator(path, "cpu")(arrays["z"]), arrays["image"], atol=1e-4, rtol=0)


def test_labels_change_the_logits(rosinality):
    path, arrays = rosinality("histoxplaining")
    D = load_discriminator(path, "cpu")
    assert (D(arrays["image"], arrays["labels"]) - D(arrays["image"], 1 - arrays["labels"])).abs().max() > 1e-3
    with pytest.raises(InputError, match=r"`c` must have shape \(N, 2\)"):
        D(arrays["image"])


def test_names_are_those_of_the_fixture(rosinality, shared):
    path, _ = rosinality("histoxplaining")
    contents = torch.load(path, weights_only=False)  # made by this test
    names = {"g_ema": generator_names(16, 2), "d": discriminator_names(16), "e": encoder_names(16)}
    for part, listed in names.items():
        stored = {name for name in contents[part] if not name.endswith("kernel")}
        assert stored - {name.theirs for name in listed} <= {"embedding.weight"}


@pytest.fixture
def written(make_generator, tmp_path):
    """A file of a tiny generator of theirs, and the generator."""
    G = make_generator(channel_base=16384, channel_max=512)
    write_state_dicts(tmp_path / "network.pt", {"generator": G}, "rosinality")
    return tmp_path / "network.pt", G


def test_a_file_made_here(written):
    path, G = written
    z = torch.randn(2, 8)
    assert torch.equal(load_generator(path, "cpu")(z, None, 0.5), G(z, None, 0.5))


def test_bare_state_dicts_and_missing_means(written, tmp_path):
    path, G = written
    state = {f"module.{name}": value for name, value in torch.load(path, weights_only=True)["g_ema"].items()}
    torch.save({"g_ema": state}, tmp_path / "parallel.pt")
    found = read_foreign(tmp_path / "parallel.pt", "stylegan2.generator")
    assert found.meta["w_avg"] == "mean of 4096 samples"
    torch.save({name.removeprefix("module."): value for name, value in state.items()}, tmp_path / "bare.pt")
    z = torch.randn(2, 8)
    assert torch.equal(load_generator(tmp_path / "bare.pt", "cpu")(z), G(z))


def test_strange_tensors_are_named(written, tmp_path):
    contents = torch.load(written[0], weights_only=True)
    contents["g_ema"]["to_mask.weight"] = torch.ones(1)
    torch.save(contents, tmp_path / "fork.pt")
    with pytest.raises(InputError, match=r"network g_ema has to_mask\.weight, which is not rosinality's"):
        load_generator(tmp_path / "fork.pt")
