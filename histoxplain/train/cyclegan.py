"""Train a CycleGAN whose translations are counterfactuals: images that change a frozen classifier's mind."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain._device import resolve_device, resolve_precision
from histoxplain._malloc import keep_freed_memory
from histoxplain._ranks import first, world
from histoxplain.data import fingerprint, open_source
from histoxplain.models.classifier import Classifier, load_classifier
from histoxplain.models.cyclegan import PatchDiscriminator, Translator, TranslatorConfig, save_translator
from histoxplain.train.class_turns import ClassTurns
from histoxplain.train.config_cyclegan import CHANGEABLE, CycleGANConfig
from histoxplain.train.descent import apply_gradients
from histoxplain.train.distributed import average_, begin, copy_from_first_, gather, joint_draws, mine
from histoxplain.train.ema import ema_beta, update_ema
from histoxplain.train.jitter import jitter
from histoxplain.train.loop import STATE, open_run, save_snapshot
from histoxplain.train.pixels import LabelledPixels, labelled_splits
from histoxplain.train.teacher import check_teaches
from histoxplain.train.translation import ImageBuffer, counterfactual_loss, least_squares
from histoxplain.train.translation_run import TranslationRun, measure_translator

NETWORK = "translator.safetensors"


def train_cyclegan(
    data: str | Path,
    classifier: str | Path,
    out: str | Path,
    config: CycleGANConfig | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Train a translator between the classes of a prepared data set.

    Args:
        data: prepared data, or an image folder with a folder per class; its train split is used.
        classifier: checkpoint of the classifier whose mind is to change, of the same classes.
        out: folder for `config.json`, `log.jsonl`, `samples-*.png`, `translator.safetensors` (the average) and
            `state.pt`.
        config: the settings.
        resume: continue an interrupted training exactly where its last snapshot stands.
        quiet: no progress bar.

    Returns:
        The path of the averaged translator.

    Raises:
        InputError: on unusable data, settings or classifier, or an `out` that holds another training.
        RankError: if another process of several ended; the last snapshot continues.

    Under torchrun the processes share each batch, and the first one writes; see `train.distributed`.
    """
    keep_freed_memory()
    config = config or CycleGANConfig()
    begin(config.device)
    source = open_source(data)
    judge = load_classifier(classifier)
    check_same_classes(judge, source.class_names, source.channels)
    splits = labelled_splits(source, source.resolution or judge.resolution, config.seed)
    if config.counter_weight:
        check_teaches(judge, splits["train"].resolution, "set `counter_weight` to 0")
    settings = {"data": str(data), "classifier": str(classifier), **asdict(config)}
    state = first(lambda: open_run(out, settings, resume, CHANGEABLE, asdict(CycleGANConfig())))
    training = CycleGANTraining(splits, judge, config, {"data": fingerprint(source)})
    if state is not None:
        training.load_state_dict(state)
    copy_from_first_(training.tensors())
    TranslationRun(out, training, quiet).train()
    return Path(out) / NETWORK


def check_same_classes(classifier: Classifier, class_names: tuple[str, ...], channels: int) -> None:
    """A classifier must know the classes and the channels of the data.

    Raises:
        InputError: if it does not.
    """
    names, theirs = ", ".join(class_names), ", ".join(classifier.class_names)
    same = tuple(classifier.class_names) == tuple(class_names)
    check(len(class_names) > 1, "data", "have at least 2 classes to translate between", names or "none")
    way_out = "train one on this data"
    if sorted(classifier.class_names) == sorted(class_names):
        way_out = "adopt it with `class_names` in the order of the data, and `outputs` in its own"
    check(same, "classifier", f"know the classes of the data ({names})", theirs, way_out)
    check(
        classifier.channels == channels,
        "classifier",
        f"take {channels} channels, as the data have",
        classifier.channels,
    )


class CycleGANTraining:
    """Networks, their optimisers and everything a resumed training needs to continue exactly.

    Args:
        splits: "train" and "validation".
        classifier: frozen; its classes are those of the labels.
        config: the settings.
        origin: what the translator's checkpoint says of the data.
    """

    title = "train cyclegan"
    headline = ("cycle", "identity", "gan", "loss_d")

    def __init__(
        self,
        splits: dict[str, LabelledPixels],
        classifier: Classifier,
        config: CycleGANConfig,
        origin: dict[str, Any] | None = None,
    ) -> None:
        self.config, self.splits, self.origin = config, splits, origin or {}
        _check_batch(config.batch, len(classifier.class_names))
        self.device = resolve_device(config.device)
        self.precision = resolve_precision(config.precision, self.device)
        self.class_names = tuple(classifier.class_names)
        self.classifier = classifier.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        self.rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng([]):
            torch.manual_seed(config.seed)
            self.T = self._translator()
            self.D = self._discriminator()
        self.ema = deepcopy(self.T).eval().requires_grad_(False).set_precision(config.precision)
        self.opt_t, self.opt_d = (_adam(network, config.lr) for network in (self.T, self.D))
        self.buffer = ImageBuffer(len(self.class_names), config.buffer)
        self.order = ClassTurns(splits["train"].labels, config.seed)
        self.images_seen, self.steps, self.log_lines = 0, 0, 0
        self.sums: dict[str, list[Tensor]] = {}

    def _translator(self) -> Translator:
        config, train = self.config, self.splits["train"]
        shape = TranslatorConfig(
            class_names=self.class_names,
            resolution=train.resolution,
            channels=self.classifier.channels,
            architecture=config.architecture,
            width=config.width,
            depth=config.depth,
            blocks=config.blocks,
            residual=config.residual,
            shrink=config.shrink,
            joint=len(self.class_names) > 2 if config.joint is None else config.joint,
        )
        return Translator(shape).to(self.device).train()

    def _discriminator(self) -> PatchDiscriminator:
        config, shape = self.config, self.T.config
        sizes = (config.width_d, config.depth_d, config.shrink)
        network = PatchDiscriminator(shape.channels, len(self.class_names), *sizes, joint=shape.joint)
        return network.to(self.device).train()

    def prepare(self, quiet: bool) -> None:
        """What comes once before the first step: nothing here."""

    def step(self) -> None:
        """One step of the translator, then one of the discriminators."""
        config = self.config
        for optimiser in (self.opt_t, self.opt_d):
            for group in optimiser.param_groups:
                group["lr"] = config.rate_at(self.images_seen)
        x, sources = self._reals()
        with joint_draws():
            others = torch.randint(1, len(self.class_names), (len(x),), generator=self.rng)
        targets = (sources + others.to(self.device)) % len(self.class_names)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            fake = self._update_translator(x, sources, targets)
            self._update_discriminators(x, sources, fake, targets)
        self.steps += 1
        self.images_seen += config.batch
        average_([values[-1] for values in self.sums.values()])
        update_ema(self.ema, self.T, ema_beta(config.batch, config.ema_kimg, self.images_seen, 0.05))

    def _reals(self) -> tuple[Tensor, Tensor]:
        """The next batch, the classes in turn, or this process's part of it: images in [-1, 1] and their classes."""
        places = torch.tensor([self.order.next() for _ in range(self.config.batch)])
        x, labels = self.splits["train"].batch(mine(places))
        return x.to(self.device), labels.to(self.device)

    def _update_translator(self, x: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        """Returns the translations."""
        config = self.config
        self.D.requires_grad_(False)
        fake = self.T(x, targets)
        terms = {
            "gan": least_squares(self.D(fake, targets), 1.0),
            "cycle": (self.T(self._noisy(fake), sources) - x).abs().mean(),
            "identity": (self.T(x, sources) - x).abs().mean(),
        }
        weights = {"gan": 1.0, "cycle": config.cycle_weight, "identity": config.mu}
        if config.counter_weight and self.steps % config.counter_interval == 0:
            terms["counter"] = self._counter(fake, targets)
            weights["counter"] = config.counter_weight * config.counter_interval
        for name, term in terms.items():
            self._note(name, term)
        apply_gradients(sum(weights[name] * term for name, term in terms.items()), self.opt_t)
        self.D.requires_grad_(True)
        return fake.detach()

    def _noisy(self, x: Tensor) -> Tensor:
        if not self.config.cycle_noise:
            return x
        with joint_draws():
            return x + self.config.cycle_noise * torch.randn(x.shape, generator=self.rng).to(x)

    def _counter(self, fake: Tensor, targets: Tensor) -> Tensor:
        """The classifier's part of the objective, of translations as they are or as a random view shows them."""
        views = self.config.counter_views
        if views:
            strengths = {"zoom_by": 0.15, "colour": 0.3, "sharpness": 0.8, "noise": 0.15}
            strengths = {name: views * most for name, most in strengths.items()}
            with joint_draws():
                fake = jitter(fake, self.rng, orientations=False, **strengths)
        logits = self.classifier(fake.contiguous(memory_format=torch.channels_last))
        self._note("flipped", (logits.argmax(1) == targets).float().mean())
        return counterfactual_loss((logits.float() / self.config.counter_temperature).softmax(1), targets)

    def _update_discriminators(self, x: Tensor, sources: Tensor, fake: Tensor, targets: Tensor) -> None:
        """Reals of each class against translations into it, new and earlier ones; all processes keep the same."""
        shown = mine(self.buffer.exchange(gather(fake), gather(targets), self.rng))
        real_logits, fake_logits = self.D(x, sources), self.D(shown, targets)
        loss = (least_squares(real_logits, 1.0) + least_squares(fake_logits, 0.0)) / 2
        self._note("loss_d", loss)
        self._note("real", real_logits.mean())
        self._note("fake", fake_logits.mean())
        apply_gradients(loss, self.opt_d)

    def _note(self, name: str, value: Tensor) -> None:
        self.sums.setdefault(name, []).append(value.detach().float())

    def report(self, seconds: float, rate: float) -> dict[str, Any]:
        """Means since the last report, for the log and the progress bar."""
        means = {name: torch.stack(values).mean().item() for name, values in self.sums.items()}
        self.sums = {}
        rest = {"lr": self.config.rate_at(self.images_seen), "seconds": seconds, "images_per_second": rate}
        return {"kimg": self.images_seen / 1000, **rest, **means}

    def measure(self) -> dict[str, Any]:
        """What the averaged translator does to images of the validation split."""
        validation = self.splits["validation"]
        turns = ClassTurns(validation.labels, self.config.seed)
        places = [turns.next() for _ in range(self.config.validation)]
        x, labels = validation.batch(torch.tensor(sorted(set(places)), dtype=torch.long))
        return measure_translator(self.ema, self.classifier, x, labels)

    def examples(self, count: int) -> tuple[Tensor, Tensor]:
        """The first images of each class in the validation split, on the device, and their classes."""
        validation = self.splits["validation"]
        places = [torch.nonzero(validation.labels == k).flatten()[:count] for k in range(len(self.class_names))]
        x, labels = validation.batch(torch.cat(places))
        return x.to(self.device), labels.to(self.device)

    def save(self, out: Path, log_lines: int) -> None:
        """Write the averaged translator and the state for a resume."""
        meta = {"images_seen": self.images_seen, "classifier": self.classifier.config.architecture}
        save_translator(out / NETWORK, self.ema, self.origin | meta)
        save_snapshot(out / STATE, {**self.state_dict(), "log_lines": log_lines})

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("T", "D", "ema", "opt_t", "opt_d", "buffer")}

    def tensors(self) -> list[Tensor]:
        """Of the networks; the same in every process."""
        networks = [part for part in self._parts().values() if isinstance(part, nn.Module)]
        return [x for network in networks for x in network.state_dict().values()]

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes while training."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        counters = {"images_seen": self.images_seen, "drawn": self.order.drawn, "steps": self.steps}
        return {**state, **counters, "rng": self.rng.get_state(), "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.images_seen, self.steps, self.sums = state["images_seen"], state["steps"], state["sums"]
        self.rng.set_state(state["rng"])
        self.log_lines = state.get("log_lines", 0)
        self.order = ClassTurns(self.splits["train"].labels, self.config.seed, state["drawn"])


def _check_batch(batch: int, classes: int) -> None:
    """Every class is in a batch, and every process has as many of its images."""
    check(batch >= classes, "batch", f"be at least {classes}, an image of each class", batch)
    n = world()
    check(batch % n == 0, "batch", f"be a multiple of {n} for {n} processes", batch)


def _adam(network: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.999), fused=True)
