from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from histoxplain import InputError
from histoxplain.explain import change_map
from histoxplain.widgets import ExploreSession, Question, Specimen, Walk, Workbench, generated


@pytest.fixture
def bench(bundle, latents):
    return Workbench(ExploreSession(bundle, latents, {"up": torch.ones(16)}))


@pytest.fixture
def photograph(bundle, latents):
    """An image that has to be found in latent space first."""
    x = ExploreSession(bundle, latents, {}).at(ExploreSession(bundle, latents, {}).place(5)).image
    return Specimen("photo", x, bundle.classifier.probabilities(x[None])[0])


def test_nothing_has_changed_at_first(bench):
    view = bench.see()
    assert torch.equal(view.now.image, view.before.image)
    assert view.change.abs().max() == 0


def test_a_slider_is_compared_with_where_it_began(bench):
    before = bench.see().now
    place = replace(bench.state.place, steps=(1.5,))
    view = bench.see(bench.move(place))
    assert torch.equal(view.before.image, before.image)
    assert torch.equal(view.now.image, bench.session.at(place).image)
    assert_close(view.change, change_map(before.image, view.now.image))


def test_undo_redo_reset(bench):
    first = bench.state
    bench.move(replace(first.place, steps=(1.0,)))
    second = bench.state
    bench.choose(4)
    assert bench.history.undo() == second
    assert bench.history.undo() == first
    assert bench.history.redo() == second
    bench.reset()
    assert bench.state == first
    assert bench.history.undo() == second


def test_pinned_is_what_one_compares_with(bench):
    bench.choose(1)
    pinned = bench.see().now
    bench.pin()
    bench.choose(2)
    assert torch.equal(bench.see().before.image, pinned.image)
    bench.pin()
    assert torch.equal(bench.see().before.image, bench.see().now.image)


def test_an_answer_is_the_counterfactual_and_its_walk_begins_at_the_image(bench):
    question = bench.question(count=2)
    assert question.target == bench.targets()[0]
    start = bench.see().now.image
    view = bench.see(bench.take(question))
    explanation = bench.explanation
    assert torch.equal(view.now.image, explanation.counterfactuals[0])
    assert torch.equal(view.now.probabilities, explanation.probabilities_after[0])
    assert_close(view.change, explanation.change[0], atol=0.02, rtol=0)
    half = bench.see(bench.take(question, at=0.0))
    assert_close(half.now.image, start, atol=0.02, rtol=0)
    assert bench.answers.explain(question) is explanation


def test_walking_is_one_step_of_undo_and_a_slider_ends_it(bench):
    question = bench.question(count=1)
    for at in (1.0, 0.5, 0.2):
        bench.take(question, at=at)
    assert bench.state.walk == Walk(question, 0, 0.2)
    bench.move(replace(bench.state.place, steps=(0.5,)))
    assert bench.state.walk is None
    assert bench.history.undo().walk == Walk(question, 0, 0.2)
    assert bench.history.undo().walk is None


def test_answers_keep_to_the_region(bench):
    mask = torch.zeros(16, 16, dtype=torch.uint8)
    mask[:, 8:] = 255
    bench.allow(mask.numpy().tobytes())
    question = bench.question(count=1)
    change = bench.answers.explain(question).change[0]
    assert change[:, :8].abs().max() == 0
    assert change[:, 8:].abs().max() > 0
    bench.choose(3)
    assert bench.state.mask == b""


def test_an_empty_region_is_everywhere(bench):
    bench.allow(bytes(256))
    assert bench.state.mask == b""


def test_generated_images_keep_their_noise_and_latents(bundle, latents):
    one = generated(bundle, each=1)[2]
    bench = Workbench(ExploreSession(bundle, latents, {"up": torch.ones(16)}, images=[one]))
    assert_close(bench.see().now.image, one.image, atol=0.02, rtol=0)
    explanation = bench.answers.explain(bench.question(count=1))
    assert explanation.reconstruction is None
    assert explanation.case_id == "red 1"


def test_a_photograph_is_found_compared_and_explained(bundle, latents, photograph):
    bench = Workbench(ExploreSession(bundle, latents, {"up": torch.ones(16)}, images=[photograph]))
    at_rest = bench.see()
    assert torch.equal(at_rest.before.image, photograph.image)
    assert (at_rest.now.image - photograph.image).abs().mean() < 0.2
    moved = bench.see(bench.move(replace(bench.state.place, steps=(1.0,))))
    assert torch.equal(moved.before.image, at_rest.now.image)
    bench.reset()
    explanation = bench.answers.explain(bench.question(count=1))
    assert torch.equal(explanation.original, photograph.image)
    assert explanation.reconstruction is not None


def test_single_channels_move_by_their_own_deviations(bench, bundle, latents):
    layer = next(iter(bench.session.deviations))
    place = replace(bench.state.place, channels=((layer, 2, 3.0),))
    styles = bundle.generator.styles(bench.session.latent(place))
    spread = bundle.generator.styles(latents.w[:, None].expand(-1, bundle.generator.num_ws, -1))[layer][:, 2].std()
    styles[layer][0, 2] += 3 * spread
    drawn = bundle.generator.synthesis_from_styles(styles)[0].clamp(-1, 1)
    assert_close(bench.session.at(place).image, drawn, atol=0.012, rtol=0)
    explanation = bench.answers.explain(Question(place, bench.targets(bench.move(place))[0], 1))
    assert torch.equal(explanation.original, bench.session.at(place).image)


def test_the_interval_holds_both_opinions(bundle, latents):
    from types import SimpleNamespace

    opinion = torch.tensor([0.2, 0.5, 0.3])
    oracle = SimpleNamespace(probabilities=lambda x: opinion.expand(len(x), 3))
    session = ExploreSession(SimpleNamespace(**vars(bundle) | {"oracle": oracle}), latents, {})
    sight = session.at(session.place(0), interval=True)
    assert_close(sight.low, torch.minimum(opinion, sight.probabilities))
    assert_close(sight.high, torch.maximum(opinion, sight.probabilities))


def test_without_an_oracle_views_of_the_image_are_asked(bench):
    sight = bench.see().now
    assert (sight.low <= sight.probabilities).all()
    assert (sight.high >= sight.probabilities).all()
    assert (sight.high > sight.low).any()


def test_measures_what_changed(bench, monkeypatch):
    from histoxplain.widgets import workbench

    asked = []
    monkeypatch.setattr(workbench, "compare_images", lambda before, after: asked.append((before, after)))
    bench.move(replace(bench.state.place, steps=(1.0,)))
    bench.measure()
    assert torch.equal(asked[0][0], bench.see().before.image)
    assert torch.equal(asked[0][1], bench.see().now.image)


def test_says_what_is_wrong(bench):
    with pytest.raises(InputError, match="`target` must be one of"):
        bench.question("blue")
    with pytest.raises(InputError, match="`count` must lie in"):
        bench.question(count=0)
    with pytest.raises(InputError, match="`mask` must hold 256 bytes"):
        bench.allow(bytes(4))
    with pytest.raises(InputError, match="`point` must lie in"):
        bench.choose(9)
    with pytest.raises(InputError, match="`method` must be one of"):
        bench.question(method="cyclegan")
    bench.allow(bytes([255] * 256))
    with pytest.raises(InputError, match="keeps to a region, got pixels"):
        bench.question(method="pixels")
