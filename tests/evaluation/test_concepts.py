import json

import pytest
import torch
from torch import nn

from histoxplain.cli import main
from histoxplain.data import Case
from histoxplain.evaluation import measure_concepts
from histoxplain.models import ConceptConfig, ConceptModel


class Stripes(nn.Module):
    """Two classes: bright or dark."""

    class_names, channels, resolution = ("dark", "bright"), 3, 8

    def __init__(self):
        super().__init__()
        self.look = nn.Identity()

    def forward(self, x):
        light = 4 * self.look(x).mean((1, 2, 3))
        return torch.stack([-light, light], 1)


class Slider(nn.Module):
    """Draws one grey, the first number of its latent."""

    img_resolution, img_channels, num_ws, w_dim, c_dim, z_dim = 8, 3, 2, 4, 0, 4

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()), requires_grad=False)

    def synthesis(self, ws, noise_mode="const"):
        return ws.mean(1)[:, 0, None, None, None].expand(-1, 3, 8, 8)


@pytest.fixture
def slider():
    """Two concepts that matter (how bright, how dark), and one that nothing hangs on."""
    config = ConceptConfig(
        class_names=("dark", "bright"),
        concepts=3,
        stages=(("look", 3),),
        sides=(8,),
        grid=8,
        width=1,
        num_ws=2,
        w_dim=4,
    )
    model = ConceptModel(Stripes(), Slider(), config).eval()

    def see(x):
        light = x.mean(1, keepdim=True)
        maps = torch.cat([light, -light, torch.full_like(light, 0.5)], 1).clamp_min(0)
        return maps, torch.zeros(len(x), 27), model.classifier(x)

    model.see = see
    with torch.no_grad():
        model.theta.weight.copy_(torch.tensor([[-4.0, 4.0, 0.0], [4.0, -4.0, 0.0]]))
        model.theta.bias.zero_()
        model.omega.say.weight.zero_()
        light = model.omega.say.weight.view(2, 4, 3, 9)[:, 0]
        light[:, 0], light[:, 1] = 1 / 9, -1 / 9
    return model


class Greys(list):
    """Greys of known brightness."""


def greys(values):
    return Greys(Case(torch.full((3, 8, 8), v), label=int(v > 0), id=str(v)) for v in values)


def test_everything_is_known_of_a_slider(slider):
    found = measure_concepts(slider, greys([-0.8, -0.4, 0.4, 0.8]))
    assert (found["images"], found["fidelity"], found["accuracy"]) == (4, 1.0, {"classifier": 1.0, "concepts": 1.0})
    assert found["kept"] == {"all": 1.0, "dark": 1.0, "bright": 1.0, "concepts_alone": 1.0}
    assert found["l1"] < 1 / 255
    assert found["frechet"] == pytest.approx(0, abs=0.1)
    # without its one concept each image is grey, of which the classifier thinks half and half
    expected = torch.tensor([0.8, 0.4]).mul(8).sigmoid().mean() - 0.5
    assert found["drop"] == {str(n): pytest.approx(float(expected), abs=0.01) for n in (1, 2, 3)}
    assert found["random_drop"]["3"] == pytest.approx(float(expected), abs=0.01)
    assert found["faithfulness"] == pytest.approx(float(torch.tensor(3.2).sigmoid()) - 0.5, abs=0.01)
    assert found["conciseness"] == 1
    assert found["sparsity"] == pytest.approx(1 / 3)
    assert set(found["consistency"]["concepts"]) == {"concept 3"}  # the others are in two images each
    assert found["consistency"]["mean"] == 0.5
    assert found["places"] == {"turned": 0, "unturned": 0, "concepts": dict.fromkeys(slider.names, 0)}  # all is flat
    json.dumps(found)


def test_random_concepts_matter_less(slider):
    found = measure_concepts(slider, greys(torch.linspace(-1, 1, 24).tolist()))
    assert found["drop"]["1"] > 2 * found["random_drop"]["1"]  # one of three matters to an image
    assert found["consistency"]["concepts"] == {
        "concept 1": pytest.approx(1, abs=0.13),
        "concept 2": pytest.approx(1, abs=0.13),
        "concept 3": 0.5,
    }
    assert measure_concepts(slider, greys([0.5] * 20), limit=6)["images"] == 6


def test_where_concepts_are_goes_with_the_image(slider):
    light = torch.linspace(-1, 1, 8).expand(3, 8, 8)
    places = measure_concepts(slider, [Case(light, label=0)] * 3, consistency=False)["places"]
    assert places["concepts"] == {
        "concept 1": pytest.approx(1),
        "concept 2": pytest.approx(1),
        "concept 3": pytest.approx(0),
    }
    assert places["turned"] == pytest.approx(2 / 3)
    assert places["unturned"] < 0


def test_labels_are_not_needed(slider):
    found = measure_concepts(slider, [Case(torch.full((3, 8, 8), 0.5))])
    assert "accuracy" not in found
    assert found["frechet"] is None


def test_a_bundle_without_concepts(tmp_path, capsys, monkeypatch):
    from histoxplain import models

    class Bundle:
        name, concepts, generator = "plain", None, object()

    monkeypatch.setattr(models, "load_bundle", lambda name: Bundle)
    (tmp_path / "d.lmdb").mkdir()
    assert main(["measure", "concepts", str(tmp_path / "d.lmdb"), "--bundle", "plain"]) == 2
    assert "`bundle` must hold a concept model for its measures" in capsys.readouterr().err
