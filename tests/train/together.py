"""What the tests of several processes let one, or two under torchrun, do: trainings whose ends can be compared.

torchrun --nproc-per-node 2 tests/train/together.py (compare | die) FOLDER
"""

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from histoxplain._ranks import first, join, rank
from histoxplain.data import prepare
from histoxplain.models import classifier as networks
from histoxplain.train import classifier, classifier_run, cyclegan, gan, stylex_projected
from histoxplain.train.config_classifier import ClassifierTraining
from histoxplain.train.config_cyclegan import CycleGANConfig
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.distributed import _SharedBatchNorm, average_, gather, mean, mine

SMALL = {
    "batch": 8,
    "channel_base": 64,
    "channel_max": 8,
    "z_dim": 8,
    "w_dim": 8,
    "device": "cpu",
    "precision": "float32",
    "r1_interval": 2,
    "pl_interval": 2,
    "augment_p": 0.3,
    "mirror": True,
    "quarter_turns": True,
}
PROJECTED = {"discriminator": "projected", "channel_base": 256, "pl_weight": 0}
KINDS = {
    "gan": {"layout_weight": 1.0},
    "stylex": {"reconstruct_weight": 1.0},
    "projected": PROJECTED,
    "stylex projected": {**PROJECTED, "reconstruct_weight": 40.0, "layout_steps": 2, "style_mixing": 0},
}


def colours(side, count=40):
    """Noise in two classes: the first one red, the second one blue."""
    pixels = np.random.default_rng(0).integers(0, 60, (count, 3, side, side))
    pixels[::2, 0] += 180
    pixels[1::2, 2] += 180
    return torch.tensor(pixels, dtype=torch.uint8), np.arange(count) % 2


def write_colours(folder):
    """The same as a prepared data set."""
    for number, (pixels, label) in enumerate(zip(*colours(16, 60))):
        place = folder / "images" / f"class{label}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(place)
    prepare(folder / "images", folder / "data.lmdb", resolution=16)


@contextmanager
def plain_descent(rate=0.05):
    """Gradient descent instead of Adam, which would blow up rounding errors of gradients near 0; few layout views."""
    usual = gan._adam, classifier_run._optimiser, stylex_projected.VIEWS, cyclegan._adam

    def descent(networks, lr, interval):
        return torch.optim.SGD([p for network in networks for p in network.parameters() if p.requires_grad], lr=rate)

    gan._adam, classifier_run._optimiser, stylex_projected.VIEWS = descent, lambda net, _: descent([net], 0, 0), 16
    cyclegan._adam = lambda net, _: descent([net], 0, 0)
    try:
        yield
    finally:
        gan._adam, classifier_run._optimiser, stylex_projected.VIEWS, cyclegan._adam = usual


@contextmanager
def alone():
    """The first process does something as if torchrun had started no other."""
    run = os.environ.pop("TORCHELASTIC_RUN_ID", None)
    try:
        yield
    finally:
        if run is not None:
            os.environ["TORCHELASTIC_RUN_ID"] = run


def train(kind):
    """A few steps of a kind of training: how networks moved, the mean path length and figures of the log."""
    config = GANConfig(**{**SMALL, **KINDS[kind]})
    steps, rate = (2, 0.05) if kind == "gan" else (1, 0.001)
    with plain_descent(rate):
        training = gan._kind(config)(*colours(64 if "projected" in kind else 16), ("red", "blue"), config)
        if hasattr(training, "opt_mapping"):
            parameters = [p for group in training.opt_mapping.param_groups for p in group["params"]]
            training.opt_mapping = torch.optim.SGD(parameters, lr=rate)
        training.prepare(quiet=True)
        before = weights_of(training)
        for _ in range(steps):
            training.step()
        training.augment.adapt(4)
    figures = {name: value for name, value in training.report(1, 1).items() if isinstance(value, float)}
    moved = {name: x - before[name] for name, x in weights_of(training).items()}
    return {"moved": moved, "pl_mean": training.pl_mean, "figures": figures, "rng": training.rng.get_state()}


def weights_of(training):
    """Each network's weights and buffers in one vector."""
    networks = {name: part.state_dict() for name, part in training._parts().items() if isinstance(part, nn.Module)}
    return {name: torch.cat([x.flatten().float() for x in state.values()]) for name, state in networks.items()}


def train_run(data, out, kimg, resume=False):
    """Train a GAN in a folder, up to some thousand images."""
    config = GANConfig(**SMALL, kimg=kimg, tick_kimg=0.008, snapshot_kimg=0.016)
    with plain_descent():
        gan.train_gan(data, out, config, resume=resume, quiet=True)


def two_convolutions(config):
    """What stands for any architecture."""
    norms = [nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(*norms, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, len(config.class_names)))


def train_classes(data, out):
    """Train a classifier: two convolutions, normalised by the batch."""
    options = {"architecture": "resnet18", "batch": 9, "epochs": 1, "device": "cpu", "precision": "float32"}
    usual, networks._build = networks._build, two_convolutions
    with plain_descent():
        classifier.train_classifier(data, out, ClassifierTraining(**options, learning_rate=0.05), quiet=True)
    networks._build = usual


class Shades:
    """Noise in some classes, each brighter than the one before, as `LabelledPixels` would give them."""

    resolution = 16

    def __init__(self, classes):
        self.labels = torch.arange(24) % classes
        noise = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        self.pixels = noise - 1 + self.labels[:, None, None, None] / 2

    def __len__(self):
        return len(self.labels)

    def batch(self, places):
        return self.pixels[places], self.labels[places]


class Shade(nn.Module):
    """Which of some shades an image has."""

    channels = 3

    def __init__(self, classes):
        super().__init__()
        self.class_names = tuple(f"shade {k}" for k in range(classes))

    def forward(self, x):
        return torch.stack([-(x.mean((1, 2, 3)) - k / 2).square() for k in range(len(self.class_names))], 1)


def translate(classes):
    """A few steps of a CycleGAN: how networks moved, what is kept, and figures of the log."""
    options = {"device": "cpu", "precision": "float32", "width": 4, "depth": 2, "width_d": 4, "depth_d": 2}
    terms = {"counter_interval": 2, "cycle_noise": 0.1, "counter_weight": 5.0, "buffer": 3, "identity_weight": 4.0}
    config = CycleGANConfig(batch=2 * classes, kimg=1, lr=0.05, **options, **terms)
    with plain_descent():
        training = cyclegan.CycleGANTraining({"train": Shades(classes)}, Shade(classes), config)
    before = weights_of(training)
    for _ in range(4):
        training.step()
    figures, kept = training.report(1, 1), training.buffer.state_dict()
    moved = {name: x - before[name] for name, x in weights_of(training).items()}
    return {"moved": moved, "figures": figures, "kept": kept, "rng": training.rng.get_state()}


def train_translator(data, judge, out, kimg, resume=False):
    """Train a CycleGAN in a folder, up to some thousand images; the rate does not fall, whenever that is."""
    options = {"device": "cpu", "precision": "float32", "width": 4, "depth": 2, "width_d": 4, "depth_d": 2}
    config = CycleGANConfig(batch=4, kimg=kimg, tick_kimg=0.004, snapshot_kimg=0.008, validation=2, **options)
    usual = networks._build, CycleGANConfig.rate_at
    networks._build, CycleGANConfig.rate_at = two_convolutions, lambda config, images: 0.02
    with plain_descent():
        cyclegan.train_cyclegan(data, judge, out, config, resume=resume, quiet=True)
    networks._build, CycleGANConfig.rate_at = usual


def at_step(number, act):
    """Let a GAN's training act before its n-th step."""
    step, steps = gan.GANTraining.step, []

    def counted(training):
        steps.append(None)
        if len(steps) == number:
            act()
        step(training)

    gan.GANTraining.step = counted
    return lambda: setattr(gan.GANTraining, "step", step)


def exchange():
    """Values and gradients of what passes between processes."""
    whole = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    found = {}
    x = mine(whole[:4]).requires_grad_()
    loss = gather(x).square().prod(0).sum()
    loss.backward()
    found["gather"] = gather(x).detach(), gather(x.grad) / 2
    x = mine(whole[:4]).requires_grad_()
    (mean(x.mean(0)) * x).sum().backward()
    found["mean"] = mean(x.mean(0)).detach(), gather(x.grad)
    norm = _SharedBatchNorm(3).train()
    x = mine(whole).requires_grad_()
    y = norm(x)
    (y * mine(whole.flip(0))).sum().backward()
    average_([norm.weight.grad, norm.bias.grad])
    found["norm"] = y.detach(), x.grad, norm.weight.grad * 2, norm.running_mean, norm.running_var
    return found


def compare(folder):
    """All that two processes and one must agree on."""
    join()
    kept = {kind: train(kind) for kind in KINDS}
    pairs = {classes: translate(classes) for classes in (2, 3)}
    torch.save({"kinds": kept, "exchange": exchange(), "pairs": pairs}, folder / f"rank{rank()}.pt")
    train_classes(folder / "data.lmdb", folder / "classes")
    translating = folder / "data.lmdb", folder / "classes/classifier.safetensors", folder / "translated"
    train_translator(*translating, 0.008)
    first(lambda: go_on_alone(train_translator, *translating, 0.016))
    train_translator(*translating, 0.024, resume=True)
    for kimg, processes in ((0.016, 2), (0.032, 1), (0.048, 2)):
        if processes == 2:
            train_run(folder / "data.lmdb", folder / "run", kimg, resume=kimg > 0.016)
        else:
            first(lambda kimg=kimg: go_on_alone(train_run, folder / "data.lmdb", folder / "run", kimg))
    interrupted(folder)


def go_on_alone(train, *arguments):
    """The first process continues without the other."""
    with alone():
        train(*arguments, resume=True)


def interrupted(folder):
    """The second process is interrupted in its third step."""
    undo = at_step(3, lambda: rank() and os.kill(os.getpid(), signal.SIGINT))
    try:
        train_run(folder / "data.lmdb", folder / "interrupted", 1)
    except KeyboardInterrupt:
        (folder / f"interrupted{rank()}").touch()
    undo()


def die(folder):
    """The second process is killed before its fourth step."""
    from histoxplain.cli import main

    at_step(4, lambda: rank() and os.kill(os.getpid(), signal.SIGKILL))
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if value is not True]
    words = ["train", "gan", folder / "data.lmdb", "--out", folder / "died", *options, "--mirror", "--quarter-turns"]
    with plain_descent():
        sys.exit(main([str(word) for word in (*words, "--tick-kimg=0.008", "--snapshot-kimg=0.016", "--kimg=1")]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"compare": compare, "die": die}[sys.argv[1]](Path(sys.argv[2]))
