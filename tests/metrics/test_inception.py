import hashlib
from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain._torchvision import torchvision
from histoxplain.data import to_uint8, to_unit
from histoxplain.metrics import INCEPTION, feature_net, frechet_distance, gather_features, inception_weights
from histoxplain.metrics.inception import InceptionNet, Repooled, load_network


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Random weights under the names of the published ones."""
    torch.manual_seed(0)
    network = torchvision().models.inception_v3(
        weights=None, num_classes=1008, aux_logits=False, transform_input=False, init_weights=False
    )
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    for name, value in state.items():
        if name.endswith("conv.weight"):
            value.mul_(2.4)  # so that an image still makes a difference after a hundred layers
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)  # as it was published, by an older torch
    return path


@pytest.fixture
def published(file, monkeypatch):
    """As if the random weights had been published, and put where they belong by hand."""
    checksum = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    monkeypatch.setenv("HISTOXPLAIN_CACHE", str(file.parent / "cache"))
    monkeypatch.setattr(inception_weights, "WEIGHTS", replace(inception_weights.WEIGHTS, checksum=checksum))
    folder = file.parent / "cache" / "inception_v3-fid"
    folder.mkdir(parents=True, exist_ok=True)
    there = folder / inception_weights.WEIGHTS.file
    if not there.exists():
        there.hardlink_to(file)
    feature_net.cache_clear()
    yield file
    feature_net.cache_clear()


@pytest.fixture
def images(rng):
    coarse = torch.rand(3, 3, 8, 8, generator=rng) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=48, mode="bilinear")


def test_features_of_eight_bit_images_grey_or_colour(published, images):
    net, images = feature_net(INCEPTION), to_unit(to_uint8(images))
    with torch.no_grad():
        found = net(images[:1])
        assert found.shape == (1, 2048)
        assert torch.equal(found, net(images[:1] + 1e-4))  # less than a grey value
        assert torch.allclose(net(images[:1, :1]), net(images[:1, :1].expand(-1, 3, -1, -1)))
    assert (net.name, net.resize) == ("inception_v3-fid", "299 px, bilinear as in TensorFlow 1")


def test_never_mixed_up(published, images):
    sets = [gather_features(images, feature_net(name)) for name in (INCEPTION, f"{INCEPTION}-clean")]
    sets.append(gather_features(images))
    assert frechet_distance(sets[0], sets[0]).space.name == "inception_v3-fid"
    for one in sets:
        for other in sets:
            if one is not other:
                with pytest.raises(InputError, match="measure both in the same"):
                    frechet_distance(one, other)


def test_same_as_torch_fidelity(published, images):
    pytest.importorskip("torch_fidelity", reason="needs torch-fidelity, which is not part of the project")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3("their", ["2048"], feature_extractor_weights_path=str(published))
    for x in (images[:1], images[:1].repeat(1, 1, 8, 8)):
        with torch.no_grad():
            (expected,) = theirs(to_uint8(x))
            torch.testing.assert_close(InceptionNet()(x), expected, rtol=1e-4, atol=1e-5)


def test_same_as_clean_fid(published, images):
    resize = pytest.importorskip("cleanfid.resize", reason="needs clean-fid, which is not part of the project")
    pixels = to_uint8(images[0]).permute(1, 2, 0).numpy()
    resized = torch.from_numpy(resize.build_resizer("clean")(pixels)).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = load_network(published)((resized - 128) / 128)
        torch.testing.assert_close(InceptionNet(f"{INCEPTION}-clean")(images[:1]), expected, rtol=1e-3, atol=1e-4)


def test_averages_leave_the_padding_out():
    class Block(torch.nn.Module):
        def _forward(self, x):
            return [x * 2, "torchvision's pooling"]

        def branch_pool(self, x):
            return x

    x = torch.tensor([[0.0, 4.0], [4.0, 8.0]])[None, None]
    pool = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    assert torch.equal(Repooled(Block(), pool)(x), torch.cat([2 * x, torch.full_like(x, 4.0)], dim=1))


def test_bad_files_and_names(tmp_path, file):
    state = torch.load(file, weights_only=True)
    del state["Mixed_7c.branch_pool.conv.weight"]
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"`path` must hold InceptionV3 of FID, got \['Mixed_7c.branch_pool"):
        load_network(tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"nearest valid is 'inception_v3-fid'"):
        feature_net("inception_v3-fdi")
