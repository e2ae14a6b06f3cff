"""Every method on models whose right map is known, and beside the library it comes from."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from histoxplain import InputError
from histoxplain.explain import ATTRIBUTIONS, attribute
from histoxplain.explain.attribution.hiding import superpixels
from tests.explain.attribution.known import SIDE, Linear, Pooled, Sum, left_bright

QUICK = {"rise": {"masks": 64}, "lime": {"samples": 64}, "kernel-shap": {"samples": 64}}


def shares(model, x):
    """Of each pixel in the score of class 1."""
    return (model.weight * x).detach().sum(0)


def test_integrated_gradients_of_a_linear_model_are_exact(linear, image):
    found = attribute(linear, image, "integrated-gradients", "something", steps=4)
    assert_close(found.map, shares(linear, image))
    assert found.settings["missing of the score's change"] == pytest.approx(0, abs=1e-5)


def test_a_baseline_is_where_the_way_begins(linear, image):
    found = attribute(linear, image, "integrated-gradients", 1, steps=4, baseline=-1.0)
    assert_close(found.map, shares(linear, image + 1))


def test_gradient_shap_of_a_linear_model_is_exact_but_for_the_noise(linear, image):
    still = attribute(linear, image, "gradient-shap", 1, samples=5, noise=0.0)
    assert_close(still.map, shares(linear, image))
    assert not torch.equal(attribute(linear, image, "gradient-shap", 1, samples=5).map, still.map)


def test_occlusion_of_a_linear_model_sums_its_patches(linear, image):
    found = attribute(linear, image, "occlusion", 1, patch=4, stride=4)
    sums = torch.nn.functional.avg_pool2d(shares(linear, image)[None], 4)[0] * 16
    assert_close(found.map, sums.repeat_interleave(4, 0).repeat_interleave(4, 1))


def test_overlapping_patches_are_averaged(linear, image):
    true = shares(linear, image)
    found = attribute(linear, image, "occlusion", 1, patch=4, stride=2).map
    corner, beside = true[:4, :4].sum(), true[:4, 2:6].sum()
    assert_close(found[0, 0], corner)
    assert_close(found[0, 2], (corner + beside) / 2)


def test_kernel_shap_of_a_linear_model_sums_its_parts(linear, image):
    parts = superpixels(image, 9)
    found = attribute(linear, image, "kernel-shap", 1, segments=9, samples=80).map
    for k in parts.unique():
        assert_close(found[parts == k].unique(), shares(linear, image)[parts == k].sum()[None], atol=1e-3, rtol=1e-3)


def test_lime_without_shrinkage_of_a_linear_model_sums_its_parts(linear, image):
    parts = superpixels(image, 9)
    found = attribute(linear, image, "lime", 1, segments=9, samples=80, ridge=0.0).map
    for k in parts.unique():
        assert_close(found[parts == k].unique(), shares(linear, image)[parts == k].sum()[None], atol=1e-3, rtol=1e-3)


def test_grad_cam_of_pooled_features_sums_to_the_logit(image):
    network = Pooled(0)
    network.head.weight.data.abs_()  # nothing speaks against, so that nothing is cut off
    features = network.body(image[None])
    true = torch.einsum("k,khw->hw", network.head.weight[1], features[0]) / features[0, 0].numel()
    found = attribute(network, image, "grad-cam", 1)
    large = torch.nn.functional.interpolate(true[None, None], size=(SIDE, SIDE), mode="bilinear")[0, 0]
    assert_close(found.map, large.detach())
    assert found.layer == "body"


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "score-cam"])
def test_is_what_torchcam_says(method, images):
    from torchcam import methods

    kind = {"grad-cam": methods.GradCAM, "layer-cam": methods.LayerCAM, "score-cam": methods.ScoreCAM}[method]
    network = Pooled(0).eval()
    with kind(network, "body.2") as extractor:
        scores = network(images)
        true = extractor([1, 0, 1], scores, normalized=False)[0]
    true = torch.nn.functional.interpolate(true[:, None], size=(SIDE, SIDE), mode="bilinear")[:, 0]
    found = attribute(network, images, method, [1, 0, 1], layer="body.2")
    assert_close(torch.stack([one.map for one in found]), true.detach())


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_the_map_of_a_sum_is_the_sum_of_the_maps(method, images):
    trunks = Pooled(1), Pooled(2)
    both = attribute(Sum(*trunks), images, method, 1)
    alone = [attribute(trunk, images, method, 1) for trunk in trunks]
    assert both[0].layer == "trunks.0.body, trunks.1.body"
    for whole, one, other in zip(both, *alone):
        assert_close(whole.map, one.map + other.map)
        assert float(other.map.max()) > 0


def test_trunks_of_different_grids_keep_their_shares(image):
    fine, coarse = Pooled(1, stride=1), Pooled(2)
    for trunk in (fine, coarse):
        trunk.head.weight.data.abs_()
    found = attribute(Sum(fine, coarse), image, "grad-cam", 1)
    logits = [(trunk(image[None]) - trunk.head.bias)[0, 1].item() for trunk in (fine, coarse)]
    assert found.map.mean().item() * 8 * 8 == pytest.approx(sum(logits), rel=0.05)  # edges blur as maps are enlarged


def test_score_cam_of_an_ensemble_looks_at_every_trunk(image):
    found = attribute(Sum(Pooled(1), Pooled(2)), image, "score-cam", 1)
    assert found.layer == "trunks.0.body, trunks.1.body"
    assert 0 < float(found.map.max()) <= 1


def test_score_cam_may_look_at_fewer_channels(image):
    looks = []
    network = Pooled(0)
    network.register_forward_hook(lambda *call: looks.append(len(call[1][0])))
    attribute(network, image, "score-cam", 1, channels=2)
    assert max(looks) == 2


@pytest.mark.parametrize("method", [name for name, way in ATTRIBUTIONS.items() if way.black_box])
def test_black_boxes_are_seen_through(method):
    found = attribute(left_bright, torch.full((3, SIDE, SIDE), 0.5), method, 1, baseline=-1.0, **QUICK.get(method, {}))
    left, right = found.map[:, : SIDE // 2].mean(), found.map[:, SIDE // 2 :].mean()
    assert left > right + 0.02 * abs(float(left))


@pytest.mark.parametrize("method", [name for name, way in ATTRIBUTIONS.items() if not way.black_box])
def test_what_looks_inside_refuses_black_boxes(method):
    with pytest.raises(InputError, match="`method` must be one of occlusion, lime, kernel-shap, rise"):
        attribute(left_bright, torch.zeros(3, SIDE, SIDE), method)


@pytest.mark.parametrize("method", ["grad-cam", "integrated-gradients"])
def test_networks_without_gradients_are_refused(method, image):
    class Deaf(Pooled):
        def forward(self, x):
            return super().forward(x.detach())

    with pytest.raises(InputError, match="`model` must let gradients through"):
        attribute(Deaf(0), image, method)


def test_a_lead_is_the_same_for_a_network_and_a_black_box_around_it(image):
    network = Pooled(0).eval()

    @torch.no_grad()
    def box(x):
        return network(x).softmax(1)

    options = {"target": 1, "score": "lead", "patch": 4}
    assert_close(
        attribute(box, image, "occlusion", **options).map, attribute(network, image, "occlusion", **options).map
    )


def test_a_map_of_a_single_output_is_a_map_of_that_number(image):
    class Age(nn.Module):
        def __init__(self):
            super().__init__()
            self.years = nn.Conv2d(3, 1, SIDE)

        def forward(self, x):
            return self.years(x).flatten(1)

    network = Age()
    found = attribute(network, image, "integrated-gradients", steps=2)
    assert_close(found.map, (network.years.weight[0] * image).detach().sum(0))
    assert_close(found.probabilities, network(image[None])[0].detach())


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_same_seed_same_map_whatever_happens_around(method, image):
    network, options = Pooled(0), QUICK.get(method, {})
    first = attribute(network, image, method, 1, seed=3, **options)
    state = torch.get_rng_state()
    again = attribute(network, image, method, 1, seed=3, batch_size=5, **options)
    assert torch.equal(state, torch.get_rng_state())
    assert_close(first.map, again.map, atol=1e-4, rtol=1e-3)
    assert ATTRIBUTIONS[method].random == ("seed" in first.settings)
    if ATTRIBUTIONS[method].random:
        assert not torch.allclose(attribute(network, image, method, 1, seed=4, **options).map, first.map, rtol=1e-4)


def test_networks_are_left_as_they_were(image):
    network = Pooled(0)
    hooks = [len(part._forward_hooks) for part in network.modules()]
    attribute(network, image, "grad-cam")
    assert network.training
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())
    assert [len(part._forward_hooks) for part in network.modules()] == hooks


def test_superpixels_follow_borders_and_cover_noise(rng):
    halves = torch.cat([torch.full((1, 48, 24), -1.0), torch.full((1, 48, 24), 1.0)], 2)
    parts = superpixels(halves, 8)
    assert not set(parts[:, :22].unique().tolist()) & set(parts[:, 26:].unique().tolist())  # but for the blurred rim
    assert len(superpixels(torch.rand(3, 16, 16, generator=rng), 9).unique()) >= 4


def test_linear_is_what_it_says(image):
    found = Linear(torch.ones(3, SIDE, SIDE))(image[None])
    assert found.detach()[0].tolist() == pytest.approx([0.0, float(image.sum())], rel=1e-4)
