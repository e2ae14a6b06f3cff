"""Train counterfactual inpainting: a network that makes abnormal images normal for a frozen classifier."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain._device import resolve_device, resolve_precision
from histoxplain._malloc import keep_freed_memory
from histoxplain.data import fingerprint, open_source
from histoxplain.models.classifier import Classifier, load_classifier
from histoxplain.models.inpainting import Inpainter, InpainterConfig, ProjectionDiscriminator, save_inpainter
from histoxplain.train.class_turns import ClassTurns
from histoxplain.train.config_inpainting import CHANGEABLE, InpaintingConfig
from histoxplain.train.cyclegan import CycleGANTraining, check_same_classes
from histoxplain.train.descent import apply_gradients
from histoxplain.train.elastic import bend
from histoxplain.train.ema import ema_beta, update_ema
from histoxplain.train.inpainting_losses import (
    HALF,
    critic_loss,
    desired_of,
    divergence,
    generator_loss,
    log_probabilities,
    total_variation,
)
from histoxplain.train.inpainting_run import InpaintingRun, measure_inpainter
from histoxplain.train.jitter import jitter, orient
from histoxplain.train.loop import STATE, open_run, save_snapshot
from histoxplain.train.pixels import LabelledPixels, labelled_splits
from histoxplain.train.teacher import check_teaches

NETWORK = "inpainter.safetensors"
NAMES = ("normal", "healthy", "norm", "benign", "control", "negative", "no finding")
"""What a normal class may be called, in any case."""
ASKED = 256
"""Training images that the classifier is asked about before the training begins."""


def train_inpainting(
    data: str | Path,
    classifier: str | Path,
    out: str | Path,
    config: InpaintingConfig | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Train an inpainter on a prepared data set, from the labels of whole images: masks are never read.

    Args:
        data: prepared data, or an image folder with a folder per class; its train split is used.
        classifier: checkpoint of the classifier that tells normal from abnormal, of the same classes.
        out: folder for `config.json`, `log.jsonl`, `samples-*.png`, `inpainter.safetensors` (the average) and
            `state.pt`.
        config: the settings.
        resume: continue an interrupted training exactly where its last snapshot stands.
        quiet: no progress bar.

    Returns:
        The path of the averaged inpainter.

    Raises:
        InputError: on unusable data, settings or classifier (one that finds nothing abnormal, for instance), or an
            `out` that holds another training.
    """
    keep_freed_memory()
    config = (config or InpaintingConfig()).settled()
    source = open_source(data)
    judge = load_classifier(classifier)
    check_same_classes(judge, source.class_names, source.channels)
    normal = normal_class(judge.class_names, config.normal)
    splits = labelled_splits(source, source.resolution or judge.resolution, config.seed)
    check_finds_both(judge.to(resolve_device(config.device)), splits["train"], normal)
    if config.kl_weight:
        check_teaches(judge, splits["train"].resolution, "set `kl_weight` to 0")
    settings = {"data": str(data), "classifier": str(classifier), **asdict(config)}
    state = open_run(out, settings, resume, CHANGEABLE, asdict(InpaintingConfig().settled()))
    training = InpaintingTraining(splits, judge, config, {"data": fingerprint(source)})
    if state is not None:
        training.load_state_dict(state)
    InpaintingRun(out, training, quiet).train()
    return Path(out) / NETWORK


def normal_class(class_names: Sequence[str], wish: str | None = None) -> int:
    """The number of the normal class: the one wished for, or the first whose name says so.

    Raises:
        InputError: if there is none.

    Example:
        >>> normal_class(["diseased", "Healthy"]), normal_class(["a", "b"], "b")
        (1, 1)
    """
    names = list(class_names)
    if wish is not None:
        check_one_of("normal", wish, names)
        return names.index(wish)
    found = [k for k, name in enumerate(names) if name.lower() in NAMES]
    check(bool(found), "normal", f"be one of {', '.join(names)}", "nothing", "name it with --normal")
    return found[0]


@torch.no_grad()
def check_finds_both(classifier: Classifier, images: LabelledPixels, normal: int) -> None:
    """The classifier must find some training images abnormal, and some not: else there is nothing to explain.

    Raises:
        InputError: if it does not.
    """
    turns = ClassTurns(images.labels)
    places = torch.tensor(sorted({turns.next() for _ in range(min(ASKED, 4 * len(images)))}))
    device = next(classifier.parameters()).device
    opinions = [classifier(images.batch(some)[0].to(device)).argmax(1).cpu() for some in places.split(32)]
    abnormal = int((torch.cat(opinions) != normal).sum())
    way_out = "train one on this data that tells them apart"
    name = classifier.class_names[normal]
    check(abnormal > 0, "classifier", "find some images abnormal", f"{name} for all {len(places)} asked", way_out)
    rule = f"find some images {name}"
    check(abnormal < len(places), "classifier", rule, f"abnormal for all {len(places)} asked", way_out)


class InpaintingTraining(CycleGANTraining):
    """Networks, their optimisers and everything a resumed training needs to continue exactly.

    Args:
        splits: "train" and "validation".
        classifier: frozen; its classes are those of the labels.
        config: the settings.
        origin: what the inpainter's checkpoint says of the data.
    """

    title = "train inpainting"
    config: InpaintingConfig

    def __init__(
        self,
        splits: dict[str, LabelledPixels],
        classifier: Classifier,
        config: InpaintingConfig,
        origin: dict[str, Any] | None = None,
    ) -> None:
        self.config = config = config.settled()
        self.splits, self.origin = splits, origin or {}
        self.device = resolve_device(config.device)
        self.precision = resolve_precision(config.precision, self.device)
        self.class_names = tuple(classifier.class_names)
        self.normal = normal_class(self.class_names, config.normal)
        self.classifier = classifier.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        self.rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng([]):
            torch.manual_seed(config.seed)
            self.G = self._inpainter()
            widths = (config.width_d, config.depth, config.channel_max)
            self.D = ProjectionDiscriminator(classifier.channels, *widths).to(self.device).train()
        self.ema = deepcopy(self.G).eval().requires_grad_(False).set_precision(config.precision)
        self.opt_g, self.opt_d = (
            torch.optim.Adam(network.parameters(), lr=config.lr, betas=(0.0, 0.999), fused=True)
            for network in (self.G, self.D)
        )
        self.order = ClassTurns(splits["train"].labels, config.seed)
        self.images_seen, self.steps, self.log_lines = 0, 0, 0
        self.sums: dict[str, list[Tensor]] = {}

    def _inpainter(self) -> Inpainter:
        config = self.config
        same = ("channel_base", "channel_max", "depth", "skips", "output")
        shape = InpainterConfig(
            class_names=self.class_names,
            normal=self.normal,
            resolution=self.splits["train"].resolution,
            channels=self.classifier.channels,
            **{name: getattr(config, name) for name in same},
        )
        return Inpainter(shape).to(self.device).train()

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("G", "D", "ema", "opt_g", "opt_d")}

    def step(self) -> None:
        """One step of the discriminator, and in every `generator_interval`-th one of the generator before it."""
        config = self.config
        x = self._changed(self._reals()[0])
        with torch.no_grad():
            f = log_probabilities(self.classifier(x) / config.temper, self.normal)[:, 1].exp()
        desired = desired_of(f, config.desired)
        before, after = ((p >= HALF).long() for p in (f, desired))
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            if self.steps % config.generator_interval == 0:
                fake = self._update_generator(x, f, desired, before, after)
            else:
                with torch.no_grad():
                    fake = self.G(x, after)
            self._update_discriminator(x, before, fake, after)
        self.steps += 1
        self.images_seen += config.batch
        update_ema(self.ema, self.G, ema_beta(config.batch, config.ema_kimg, self.images_seen, 0.05))

    def _changed(self, x: Tensor) -> Tensor:
        """Training images as random orientation and augmentation show them."""
        most = self.config.augment
        if self.config.orientations:
            x = orient(x, self.rng)
        if most:
            x = bend(x, 0.03 * most, self.rng)
            x = jitter(
                x, self.rng, orientations=False, zoom_by=0.2 * most, colour=0.2 * most, sharpness=0, noise=0.05 * most
            )
        return x

    def _update_generator(self, x: Tensor, f: Tensor, desired: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Returns the counterfactuals."""
        config = self.config
        self.D.requires_grad_(False)
        fake = self.G(x, after)
        log_p = log_probabilities(self.classifier(self._viewed(fake)) / config.temper, self.normal)
        rec = (fake - x).abs().mean()
        if config.back_share:
            back = (self.G(fake, before) - x).abs().mean()
            self._note("back", back)
            rec = rec + config.back_share * back
        terms = {
            "gan": (config.adv_weight, generator_loss(config.adversarial, self.D(fake, after))),
            "kl": (config.kl_weight, divergence(desired, log_p)),
            "rec": (config.rec_weight, rec),
            "tv": (config.tv_weight, total_variation((fake - x).abs())),
        }
        for name, (_, term) in terms.items():
            self._note(name, term)
        self._note(
            "valid", ((log_p[:, 1].exp() - f).abs()[before == 1] > 0.8).float().sum() / before.sum().clamp(min=1)
        )
        apply_gradients(sum(weight * term for weight, term in terms.values()), self.opt_g)
        self.D.requires_grad_(True)
        return fake.detach()

    def _viewed(self, x: Tensor) -> Tensor:
        most = self.config.views
        if most:
            strengths = {"zoom_by": 0.1, "colour": 0.2, "sharpness": 0.5, "noise": 0.2}
            strengths = {name: most * value for name, value in strengths.items()}
            x = jitter(x, self.rng, orientations=self.config.orientations, **strengths)
        return x.contiguous(memory_format=torch.channels_last)

    def _update_discriminator(self, x: Tensor, before: Tensor, fake: Tensor, after: Tensor) -> None:
        """Real images as what the classifier finds them, counterfactuals as what they should be."""
        real_logits, fake_logits = self.D(torch.cat([x, fake]), torch.cat([before, after])).chunk(2)
        loss = critic_loss(self.config.adversarial, real_logits, fake_logits)
        self._note("loss_d", loss)
        self._note("real", real_logits.mean())
        self._note("fake", fake_logits.mean())
        apply_gradients(loss, self.opt_d)

    def report(self, seconds: float, rate: float) -> dict[str, Any]:
        """Means since the last report, for the log and the progress bar."""
        means = {name: torch.stack(values).mean().item() for name, values in self.sums.items()}
        self.sums = {}
        self.headline = tuple(name for name in ("kl", "rec", "gan", "loss_d") if name in means)
        return {"kimg": self.images_seen / 1000, "seconds": seconds, "images_per_second": rate, **means}

    def measure(self) -> dict[str, Any]:
        """What the averaged inpainter does to images of the validation split; nothing where none are asked for."""
        if self.config.validation == 0:
            return {}
        validation = self.splits["validation"]
        turns = ClassTurns(validation.labels, self.config.seed)
        places = sorted({turns.next() for _ in range(self.config.validation)})
        x, _ = validation.batch(torch.tensor(places, dtype=torch.long))
        return measure_inpainter(self.ema, self.classifier, x)

    def save(self, out: Path, log_lines: int) -> None:
        """Write the averaged inpainter and the state for a resume."""
        meta = {"images_seen": self.images_seen, "classifier": self.classifier.config.architecture}
        save_inpainter(out / NETWORK, self.ema, self.origin | meta)
        save_snapshot(out / STATE, {**self.state_dict(), "log_lines": log_lines})
