import json
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import adopt_classifier, load_adopted, load_classifier, save_adopted

CLASSES = ("healthy", "ill")


@pytest.fixture
def network():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    return nn.Sequential(*parts).eval()


@pytest.fixture
def images():
    return torch.rand((5, 3, 32, 32), generator=torch.Generator().manual_seed(1)) * 2 - 1


def exported(network, folder, kind, batch):
    """The network as a file of a kind, for one number of images or for any."""
    if kind == "onnx":
        return as_onnx(network, folder / "network.onnx", batch)
    example = torch.zeros(batch or 2, 3, 32, 32)
    path = folder / ("network.pt" if kind == "torchscript" else "network.pt2")
    if kind == "torchscript":
        torch.jit.trace(network, example).save(path)
    else:
        shapes = None if batch else ({0: torch.export.Dim("images", min=1, max=64)},)
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=shapes), path)
    return path


def as_onnx(network, path, batch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    conv, last = network[0], network[4]
    weights = {"w": conv.weight, "b": conv.bias, "v": last.weight, "d": last.bias}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("GlobalAveragePool", ["2"], ["3"]),
        helper.make_node("Flatten", ["3"], ["4"]),
        helper.make_node("Gemm", ["4", "v", "d"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch or "images", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch or "images", 2])],
        [numpy_helper.from_array(value.detach().numpy(), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "batch"), [("torchscript", None), ("export", None), ("export", 2), ("onnx", None), ("onnx", 2)]
)
def test_an_exported_network_answers_as_the_network_does(network, images, tmp_path, kind, batch):
    path = exported(network, tmp_path, kind, batch)
    classifier = adopt_classifier(path, CLASSES, resolution=32)
    torch.testing.assert_close(classifier(images), network((images + 1) / 2), rtol=1e-5, atol=1e-6)
    x = images.clone().requires_grad_()
    assert classifier(x).requires_grad == (kind != "onnx")

    again = load_classifier(save_adopted(tmp_path / "there/mine.json", classifier))
    assert again.class_names == CLASSES
    assert torch.equal(again(images), classifier(images))
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["mine.json", f"mine{path.suffix}"]


def test_preprocessing_is_the_network_s_own(images):
    shown = []

    def network(x):
        shown.append(x)
        return torch.zeros(len(x), 2) + torch.tensor([3.0, -1])

    settings = {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}
    classifier = adopt_classifier(network, CLASSES, resolution=32, **settings)
    assert classifier(images).tolist() == [[3, -1]] * 5
    expected = ((images.numpy() + 1) / 2 - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    np.testing.assert_allclose(shown[-1].numpy(), expected, rtol=1e-4, atol=1e-5)

    grey = adopt_classifier(network, CLASSES, resolution=16, channels=1, input_channels=3, channels_last=True)
    grey(torch.full((1, 1, 32, 32), 0.5))
    assert shown[-1].shape == (1, 16, 16, 3)
    torch.testing.assert_close(shown[-1], torch.full((1, 16, 16, 3), 0.75))


def test_probabilities_are_told_from_logits(network, images):
    softmaxed = adopt_classifier(nn.Sequential(network, nn.Softmax(1)), CLASSES, resolution=32)
    assert softmaxed.config.output == "probabilities"
    plain = adopt_classifier(network, CLASSES, resolution=32)
    assert plain.config.output == "logits"
    torch.testing.assert_close(softmaxed.probabilities(images), plain.probabilities(images))


def test_one_output_speaks_for_the_second_class(images):
    sigmoid = adopt_classifier(lambda x: x[:, 0, 0, 0], CLASSES, resolution=32, output="probabilities")
    torch.testing.assert_close(sigmoid.probabilities(images)[:, 1], (images[:, 0, 0, 0] + 1) / 2)
    logit = adopt_classifier(lambda x: x[:, :1, 0, 0], CLASSES, resolution=32, output="logits")
    torch.testing.assert_close(logit.probabilities(images)[:, 1], ((images[:, 0, 0, 0] + 1) / 2).sigmoid())


def test_records_of_other_libraries_are_understood(network, images):
    for wrapped in ({"logits": 0}, ("first",)):
        other = adopt_classifier(
            lambda x, w=wrapped: {"logits": network(x)} if isinstance(w, dict) else (network(x), None),
            CLASSES,
            resolution=32,
        )
        assert torch.equal(other(images), adopt_classifier(network, CLASSES, resolution=32)(images))


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (lambda x: torch.zeros(len(x), 3), {}, r"`network` must give 2 numbers an image, one a class, got \(2, 3\)"),
        (lambda x: torch.full((len(x), 2), float("nan")), {}, "`network` must give finite numbers, got NaN"),
        (lambda x: torch.zeros(len(x)), {}, '`output` must be "logits" or "probabilities" for a network with one'),
        (nn.Conv2d(1, 2, 3), {}, r"`network` must take images of shape \(2, 3, 64, 64\), got .*channels"),
        (lambda x: "ill", {}, "`network` must give scores, got str"),
        (nn.Identity(), {"mean": (1, 2)}, "`mean` must hold 1 or 3 numbers, got 2"),
        (nn.Identity(), {"deviation": (0,)}, "`deviation` must be above 0"),
        ("nowhere.onnx", {}, "`network` must be an existing file"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(network, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        adopt_classifier(network, CLASSES, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_files_that_are_no_networks_are_refused(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="a file of weights alone does not say what to compute"):
        adopt_classifier(tmp_path / "weights.pt", CLASSES)
    (tmp_path / "broken.pt2").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match=r"broken\.pt2"):
        adopt_classifier(tmp_path / "broken.pt2", CLASSES)
    with pytest.raises(InputError, match="histoxplain adopt"):
        load_classifier(tmp_path / "weights.pt")
    (tmp_path / "other.json").write_text(json.dumps({"format": "something"}))
    with pytest.raises(InputError, match="describe a classifier"):
        load_adopted(tmp_path / "other.json")
    with pytest.raises(InputError, match="a network in memory"):
        save_adopted(tmp_path / "mine.json", adopt_classifier(network, CLASSES, resolution=32))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_gradients_pass_in_the_precision_it_came_with(network, images, tmp_path):
    normalised = nn.Sequential(network[0], nn.BatchNorm2d(4), *network[1:]).eval()
    torch.jit.script(normalised).save(tmp_path / "network.pt")
    classifier = adopt_classifier(tmp_path / "network.pt", CLASSES, resolution=32)
    for _ in range(4):  # TorchScript makes its gradients in the second or third call
        gradients = []
        for enabled in (False, True):
            x = images.clone().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                found = classifier(x)
            assert found.dtype == torch.float32
            gradients += torch.autograd.grad(found[:, 1].sum(), x)
        torch.testing.assert_close(*gradients)


def test_outputs_in_another_order_than_the_data(network, images, tmp_path):
    classifier = adopt_classifier(network, ("ill", "healthy"), outputs=CLASSES, resolution=32)
    torch.testing.assert_close(classifier(images), network((images + 1) / 2).flip(1))
    single = adopt_classifier(lambda x: x[:, 0, 0, 0], ("ill", "healthy"), outputs=CLASSES, output="probabilities")
    torch.testing.assert_close(single.probabilities(images)[:, 0], (images[:, 0, 0, 0] + 1) / 2)
    path = exported(network, tmp_path, "export", 5)
    kept = adopt_classifier(path, ("ill", "healthy"), outputs=CLASSES, resolution=32)
    assert load_adopted(save_adopted(tmp_path / "own.json", kept)).config.outputs == CLASSES
    with pytest.raises(InputError, match="`outputs` must name the classes healthy, ill, got healthy, sick"):
        adopt_classifier(network, CLASSES, outputs=("healthy", "sick"))


class Hostile:
    """Pickled, it would make a file while it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_reading_an_export_runs_no_pickle(network, tmp_path):
    path = exported(network, tmp_path, "export", 2)
    planted = tmp_path / "planted"
    hostile = tmp_path / "hostile.pt2"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(hostile, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if "sample_inputs" in entry.filename:
                torch.save(Hostile(planted), tmp_path / "pickle.pt")
                data = (tmp_path / "pickle.pt").read_bytes()
            new.writestr(entry, data)
    with pytest.raises(InputError, match=r"hostile\.pt2"):
        adopt_classifier(hostile, CLASSES, resolution=32)
    assert not planted.exists()
    hostile.write_bytes(path.read_bytes())
    with zipfile.ZipFile(hostile, "a") as archive:
        archive.writestr("network/data/constants/opaque_obj_0", b"")
    with pytest.raises(InputError, match="hold tensors only"):
        adopt_classifier(hostile, CLASSES, resolution=32)
