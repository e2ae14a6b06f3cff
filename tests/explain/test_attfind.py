"""AttFind where the answer is known on paper, and the fast search against the definition."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.explain import AttFind, StyleCoordinates, explain_by_subset, films_along
from histoxplain.explain.style_search import fast_search, race
from histoxplain.explain.style_sweep import StyleSweep
from histoxplain.models import Generator, GeneratorConfig

RANGE = 0.5


class Palette(nn.Module):
    """Two layers of three styles; pixel j of the image is style j, red only, so every coordinate is one pixel.

    w holds the six styles; the mapping draws each in [-0.5, 0.5] and the first two latents are the corners.
    """

    z_dim = w_dim = 6
    c_dim, num_ws, img_resolution, img_channels = 0, 1, 4, 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.passes = []

    def mapping(self, z, c):
        w = (z / 4).clamp(-RANGE, RANGE)
        w[:2] = torch.tensor([[-RANGE], [RANGE]])[: len(w)]
        return w[:, None]

    def styles(self, ws):
        rows = self.scale * ws[:, 0]
        return {"b4.conv1": rows[:, :3], "b4.torgb": rows[:, :1] * 0 + 1, "b8.conv0": rows[:, 3:]}

    def synthesis_from_styles(self, s):
        self.passes.append(len(s["b4.conv1"]))
        flat = torch.cat([s["b4.conv1"], s["b8.conv0"]], 1)
        image = nn.functional.pad(flat, (0, 10)).reshape(-1, 1, 4, 4)
        return torch.cat([image, torch.zeros_like(image), torch.zeros_like(image)], 1)

    def interactive(self):
        return self


class Weighing(nn.Module):
    """Logits of three classes, linear in the pixels."""

    channels, class_names = 3, ("a", "b", "c")

    def __init__(self, weights, bias=(0.0, 0.0, 0.0)):
        super().__init__()
        self.weights, self.bias = torch.tensor(weights), torch.tensor(bias)

    def forward(self, x):
        return x[:, 0].flatten(1)[:, :6] @ self.weights.T + self.bias


WEIGHTS = [[0.0] * 6, [1.0, 0.0, -4.0, 2.0, 0.0, 0.5], [0.0, 3.0, 0.0, 0.0, -1.0, 0.0]]


def palette(classifier=None, names=("a", "b", "c")):
    return SimpleNamespace(
        generator=Palette(), classifier=classifier or Weighing(WEIGHTS), class_names=names, name="palette"
    )


def centred(count=6):
    """Latents in the middle of the range: class a for all, by its bias."""
    return torch.zeros(count, 1, 6)


LEANING = Weighing(WEIGHTS, (1.0, 0.0, 0.0))


@pytest.mark.parametrize("exhaustive", [True, False])
def test_effects_are_weight_times_distance(exhaustive):
    found = AttFind(palette(LEANING), centred(), among=8).find("b", "a", count=4, exhaustive=exhaustive)
    assert found.names == ("b4.conv1 2 down", "b8.conv0 0 up", "b4.conv1 0 up", "b8.conv0 2 up")
    assert found.scores.tolist() == pytest.approx([2.0, 1.0, 0.5, 0.25], abs=0.05)  # 8 bits
    assert found.ends.tolist() == [-RANGE, RANGE, RANGE, RANGE]
    assert found.shares[[0, 2, 3]].tolist() == [1, 0, 0]  # logit b 2 > 1; the second is a tie


def test_any_pair_of_classes_and_any_number():
    search = AttFind(palette(LEANING), centred(), among=8)
    assert search.find("c", count=2).names == ("b4.conv1 1 up", "b8.conv0 1 down")
    drawn = search.find("c", count=2).settings["images_drawn"]
    assert drawn == 0  # all known by now
    against = AttFind(palette(Weighing(WEIGHTS, (0.0, 0.0, 1.0))), centred(), among=8).find("b", "c", count=2)
    assert against.names == ("b4.conv1 2 down", "b4.conv1 1 down")  # b up by 2, c down by 1.5


def test_log_odds_against_all_others():
    found = AttFind(palette(LEANING), centred(1), among=8).find("b", count=1)
    p = LEANING(torch.zeros(1, 3, 4, 4)).softmax(1)[0, 1]
    after = torch.tensor([1.0, 2.0, 0.0]).softmax(0)[1]
    assert found.effects.item() == pytest.approx(float(torch.logit(after) - torch.logit(p)), abs=0.03)


def test_values_beyond_the_range_stay():
    ws = centred(1)
    ws[0, 0, 0] = 0.9
    found = AttFind(palette(LEANING), ws, among=8).find("b", "a", count=12, exhaustive=True)
    assert found.effects[found.names.index("b4.conv1 0 up")].item() == 0
    assert found.effects[found.names.index("b4.conv1 0 down")].item() == pytest.approx(-1.4, abs=0.05)


def test_half_the_way(tmp_path):
    bundle = palette(LEANING)
    found = AttFind(bundle, centred(2), among=8, shift=0.5).find("b", "a", count=1)
    assert found.scores.item() == pytest.approx(1.0, abs=0.03)
    again = StyleCoordinates.load(found.save(tmp_path / "half.safetensors"))
    pixels = again.moved(bundle.generator, centred(1), "b4.conv1 2 down")[0, 0].flatten()
    assert pixels.tolist() == [0, 0, -0.25] + [0] * 13


def test_locked_layers_stay_and_colours_only_on_request():
    names = AttFind(palette(LEANING), centred(), among=8, layers=["b8.conv0"]).find("b", count=6).names
    assert all(name.startswith("b8.conv0") for name in names)
    assert all("torgb" not in name for name in AttFind(palette(LEANING), centred(), among=8).find("b", count=12).names)


class Either(nn.Module):
    """Class b if pixel 0 is bright, or, in images marked by a bright pixel 5, if pixel 1 is bright."""

    channels = 3

    def forward(self, x):
        pixels = x[:, 0].flatten(1)
        marked = pixels[:, 5] > 0.2
        b = torch.where(marked, 4 * pixels[:, 1], 6 * pixels[:, 0]) + torch.where(marked, pixels[:, 2], 0)
        return torch.stack([torch.ones(len(x)), b], 1)


def test_greedy_sets_aside_what_is_explained():
    """Two thirds turn by pixel 0, the others only by pixel 1, which helps them alone."""
    ws = centred(9)
    ws[6:, 0, 5] = 0.4
    bundle = palette(Either(), names=("a", "b"))
    for exhaustive in (True, False):
        search = AttFind(bundle, ws, among=8, layers=["b4.conv1"], gradients=False)
        found = search.find("b", selection="greedy", exhaustive=exhaustive)
        assert found.names == ("b4.conv1 0 up", "b4.conv1 1 up")
        assert found.explained.sum(1).tolist() == [6, 3]
        assert found.together == 1.0
    assert found.independent(0, 1) == [0]
    assert found.independent(8, 1) == [1]


def test_a_subset_adds_what_is_missing():
    """Logit b needs 1.4: 1 and then 0.5, not the 0.25 of pixel 5."""
    bundle = palette(Weighing([[0.0] * 6, [1.0, 0.0, 0.0, 2.0, 0.0, 0.5], [0.0] * 6], (1.4, 0.0, 0.0)))
    found = AttFind(bundle, centred(2), among=8).find("b", "a", count=3)
    for subset in explain_by_subset(bundle, found):
        assert subset.names == ("b8.conv0 0 up", "b4.conv1 0 up")
        assert subset.flipped
        assert subset.film.probabilities[:, 1].diff().min() > 0
    (short,) = explain_by_subset(bundle, found, centred(1), count=1)
    assert not short.flipped
    assert len(short) == 1


SIZES = {"resolution": 16, "z_dim": 8, "w_dim": 8, "c_dim": 3, "channel_base": 512, "channel_max": 32}


class Linear(nn.Module):
    """Logits linear in the pixels."""

    channels = 3

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(3, 3 * 16 * 16, generator=torch.Generator().manual_seed(3)) / 5)

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


@pytest.fixture(scope="module")
def real():
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(**SIZES, mapping_layers=2)).eval()
    return SimpleNamespace(generator=G, classifier=Linear(), class_names=("a", "b", "c"), name="real")


@pytest.fixture(scope="module")
def defined(real):
    return AttFind(real, images=48).find("a", exhaustive=True)


def test_fast_agrees_with_the_definition(real, defined):
    fast = AttFind(real, images=48).find("a")
    assert len(set(fast.names) & set(defined.names)) >= 9
    asked = len(defined.ws)  # the classifier gives the others to the target already
    assert defined.settings["images_drawn"] == 48 + asked * 2 * defined.settings["coordinates"]
    assert fast.settings["images_drawn"] < defined.settings["images_drawn"] / 2
    for name in set(fast.names) & set(defined.names):
        mine, truth = (found.effects[found.names.index(name)] for found in (fast, defined))
        assert torch.allclose(mine, truth, atol=0.05)  # rounding to 8 bits may fall the other way


def test_a_black_box_will_do(real, defined):
    def opinion(x):
        return real.classifier(x).detach().softmax(1)

    box = SimpleNamespace(**{**vars(real), "classifier": opinion})
    fast = AttFind(box, images=48).find("a")
    assert len(set(fast.names) & set(defined.names)) >= 9
    assert fast.settings["images_drawn"] < defined.settings["images_drawn"] / 2
    with pytest.raises(InputError, match="have gradients"):
        AttFind(box, images=4, gradients=True).find("a")


def test_what_is_reused_is_the_same(real):
    """Every cell of the table, whatever was drawn before it."""
    ws, among = AttFind(real, images=6).ws, AttFind(real, images=2).range
    with torch.no_grad():
        tables = [StyleSweep(real, ws, among, reuse=reuse) for reuse in (True, False)]
    order = torch.randperm(len(tables[0]), generator=torch.Generator().manual_seed(0))
    for rows in order.split(50):
        tables[0].measure(rows, torch.arange(6))
    tables[1].measure(torch.arange(len(order)), torch.arange(6))
    assert torch.allclose(tables[0].logits, tables[1].logits, atol=0.05)
    assert not torch.allclose(tables[1].logits[0], tables[1].before, atol=1e-4)


def test_a_record_draws_what_was_measured(real, defined, tmp_path):
    again = StyleCoordinates.load(defined.save(tmp_path / "found.safetensors"))
    assert (again.names, again.settings, again.target, again.source) == (defined.names, defined.settings, 0, None)
    assert again.effects.equal(defined.effects)
    assert again.flipped.equal(defined.flipped)
    films = films_along(real, again, again.ws[:3], (0.0, 0.5, 1.0))
    assert list(films) == list(again.names)
    for i, row in enumerate(films.values()):
        for j, film in enumerate(row):
            change = torch.logit(film.probabilities[[0, -1], 0].double()).diff()
            assert change.item() == pytest.approx(again.effects[i, j].item(), abs=0.05)
            assert (film.probabilities[-1].argmax() == 0) == bool(again.flipped[i, j])


def test_damaged_and_foreign_files(defined, tmp_path):
    path = defined.save(tmp_path / "found.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="find them again"):
        StyleCoordinates.load(path)
    with pytest.raises(InputError, match="existing file"):
        StyleCoordinates.load(tmp_path / "none")


class Table:
    """A sweep whose effects are known."""

    def __init__(self, effects):
        self.truth, self.asked = effects, torch.zeros_like(effects)

    def measure(self, rows, images):
        self.asked[rows[:, None], images] = 1

    def effects(self, rows, images, target, source):
        return self.truth[rows][:, images]


def test_a_race_drops_who_is_behind(rng):
    truth = torch.randn(100, 64, generator=rng) * 0.3 + torch.arange(100.0)[:, None] / 10
    table = Table(truth)
    assert race(table, torch.arange(100), torch.arange(64), 5, (0, None)).tolist() == [99, 98, 97, 96, 95]
    assert table.asked[95:].all()
    assert table.asked.sum() < 0.2 * table.asked.numel()


@pytest.mark.parametrize("error", [0.0, 0.05, 3.0])
def test_contenders_are_as_many_as_estimates_are_bad(rng, error):
    """Whatever the estimates are worth, the best are found; with good ones few are tried."""
    truth = torch.randn(400, 1, generator=rng).expand(-1, 16).clone()
    estimates = truth / 3 + error * torch.randn(400, 1, generator=rng).expand(-1, 16)
    table, everything = Table(truth), torch.arange(400)
    best = fast_search(table, (0, None), estimates)(everything, torch.arange(16), 5).tolist()
    assert best == truth[:, 0].argsort(descending=True)[:5].tolist()
    tried = int(table.asked.any(1).sum())
    assert tried <= 64 if error < 1 else tried > 200


def test_estimates_make_a_race_shorter(rng):
    """Images differ much, and rows in how they follow; estimates know it."""
    own = torch.randn(40, 64, generator=rng)
    truth = own + torch.arange(40.0)[:, None] / 20
    alone, helped = Table(truth), Table(truth)
    estimates = truth / 2 + 0.02 * torch.randn(40, 64, generator=rng)
    best = truth.mean(1).argsort(descending=True)[:3].tolist()
    race(alone, torch.arange(40), torch.arange(64), 3, (0, None))
    assert race(helped, torch.arange(40), torch.arange(64), 3, (0, None), estimates).tolist() == best
    assert helped.asked.sum() < alone.asked.sum() / 2


def nan_for_some(x):
    return torch.full((len(x), 3), torch.nan)


@pytest.mark.parametrize(
    ("classifier", "names", "message"),
    [
        (nan_for_some, ("a", "b", "c"), "finite numbers, got NaN or infinity for 6 of 6"),
        (lambda x: x.mean((1, 2, 3)), ("a", "b", "c"), "K at least 2"),
        (LEANING, ("a",), "at least 2 classes"),
        (SimpleNamespace(channels=1), ("a", "b"), "take 3 channels, as the generator draws, got 1"),
    ],
)
def test_networks_that_do_not_fit(classifier, names, message):
    with pytest.raises(InputError, match=message):
        AttFind(palette(classifier, names), centred(), among=8).find(0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"target": "d"}, "be one of a, b, c"),
        ({"target": "a", "source": "a"}, "another class than `source`"),
        ({"target": "a"}, "another class than a, got a 6, b 0, c 0"),
        ({"target": "a", "source": "b"}, "gives to b, got a 6"),
        ({"target": "b", "selection": "best"}, "be one of mean, greedy"),
        ({"target": "b", "count": 0}, "at least 1"),
    ],
)
def test_questions_that_make_no_sense(ask, message):
    with pytest.raises(InputError, match=message):
        AttFind(palette(LEANING), centred(), among=8).find(**ask)


def test_latents_and_layers_of_another_generator():
    with pytest.raises(InputError, match=r"shape \(N, 1, 6\)"):
        AttFind(palette(LEANING), torch.zeros(2, 3, 6))
    with pytest.raises(InputError, match=r"nearest valid is 'b8.conv0'"):
        AttFind(palette(LEANING), centred(), layers=["b8.conv"]).find("b")
