"""A training counted in images in its folder: how long, and what is written when."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from histoxplain._ranks import RankError, first, rank
from histoxplain.train.distributed import Interruption
from histoxplain.train.loop import STATE, JsonLog, progress, start_wandb

if TYPE_CHECKING:
    from histoxplain.train.encoder import EncoderTraining
    from histoxplain.train.gan import GANTraining


class Run:
    """A training in its folder: the log, the snapshots, the samples and the bar, which only the first process makes."""

    def __init__(self, out: str | Path, training: GANTraining | EncoderTraining, quiet: bool) -> None:
        self.out, self.training, config = Path(out), training, training.config
        self.writes, self.tracker, self.log = rank() == 0, None, None
        if self.writes:
            self.tracker = start_wandb(out, asdict(config)) if config.wandb else None
            self.log = JsonLog(self.out / "log.jsonl", training.log_lines, self.tracker)
        done, total = training.images_seen, int(config.kimg * 1000)
        self.bar = progress(total, done, training.title, "img", quiet or not self.writes)

    def train(self) -> None:
        """Take all the steps that are left; Ctrl-C keeps the last one.

        Raises:
            RankError: if another process of several ended; the last snapshot continues.
        """
        try:
            self._steps()
        except KeyboardInterrupt:
            first(self.save)
            raise
        except RankError as error:
            state = self.out / STATE
            raise RankError(f"{error}; --resume continues from {state}, if there is one yet") from error
        finally:
            self.close()

    def _steps(self) -> None:
        training, config = self.training, self.training.config
        tick = snapshot = training.images_seen
        began = time.perf_counter()
        if training.images_seen == 0:
            training.prepare(quiet=self.bar.disable)
            self.show()
        with Interruption(training.device) as interruption:
            while training.images_seen < config.kimg * 1000:
                training.step()
                self.bar.update(config.batch)
                done = training.images_seen >= config.kimg * 1000
                if training.images_seen - tick >= config.tick_kimg * 1000 or done:
                    self.report(time.perf_counter() - began, training.images_seen - tick)
                    tick, began = training.images_seen, time.perf_counter()
                if training.images_seen - snapshot >= config.snapshot_kimg * 1000 or done:
                    self.show()
                    self.save()  # last, so that it knows what showing wrote and drew
                    snapshot = training.images_seen
                interruption.heed()

    def report(self, seconds: float, images: int) -> None:
        """A line of the log."""
        figures = self.training.report(seconds, images / seconds)
        if self.writes:
            self.log.write(**figures)
            self.bar.set_postfix({name: f"{figures[name]:.3g}" for name in self.training.headline})

    def save(self) -> None:
        """The networks and the state."""
        if self.writes:
            self.training.save(self.out, self.log.lines)

    def show(self) -> None:
        """A grid of samples."""
        if self.writes:
            self.training.show(self.out)

    def close(self) -> None:
        """The bar and the tracker."""
        self.bar.close()
        if self.tracker is not None:
            self.tracker.finish()
