"""Train a class-conditional StyleGAN2-ADA on prepared data.

RUN receives config.json, log.jsonl, sample grids (one row a class), generator.safetensors (the averaged generator, to
use), discriminator.safetensors and state.pt (to resume). An interrupted training continues exactly with --resume, with
the settings it began with. --resume FILE starts a new training in RUN from somebody's networks instead, in their shape;
the classes may be others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain._checks import check
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.presets import Preset, preset

CHECKPOINTS = (".safetensors", ".pkl", ".pickle", ".pt", ".pth")
ADA_KIMG = 100
"""Of a training that starts from another: its augmentation finds its strength sooner."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train gan`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """LMDB made by `histoxplain prepare`; its train split is used."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands. --resume FILE is --start-from FILE."""
    preset: Preset | None = None
    """Settings of a published configuration, for those that are not given; "auto" suits the resolution."""
    config: OmitArgPrefixes[GANConfig] = field(default_factory=GANConfig)

    def __call__(self) -> None:
        """Train, and say where the generator is."""
        idle = self.config.augment == "fixed" and self.config.augment_p == 0 and not self.resume
        check(not idle, "augment_p", "be above 0 with a fixed augmentation", 0, "try 0.2")
        from histoxplain.train.gan import train_gan

        path = train_gan(self.data, self.out, self.config, resume=self.resume)
        print(f"generator -> {path}")

    def suggestions(self) -> dict[str, Any]:
        """Settings that take the place of the usual defaults: of a preset, of the run, of where it starts from."""
        settings: dict[str, Any] = {}
        if self.preset:
            from histoxplain.data import open_source

            settings = preset(self.preset, open_source(self.data, split="train").resolution)
        elif self.resume and (self.out / "config.json").exists():
            return GANConfig.settings_of(self.out)
        if self.config.start_from is not None:
            from histoxplain.train.origin import shape_of

            settings |= {"ada_kimg": ADA_KIMG, **shape_of(self.config.start_from)}
        return settings


def parse(
    arguments: Sequence[str], prog: str, kind: type[Command] = Command, description: str | None = __doc__
) -> Command:
    """Options from the command line; where one is not given, what the others suggest."""
    from histoxplain.cli.options import read_options

    arguments = started_from(arguments)
    command = read_options(kind, arguments, prog, description)
    suggested = command.suggestions()
    if not suggested:
        return command
    default = replace(command, config=replace(GANConfig(), **suggested))
    return read_options(kind, arguments, prog, description, default=default)


def started_from(arguments: Sequence[str]) -> list[str]:
    """`--resume FILE` spelt out, where a checkpoint follows.

    Example:
        >>> started_from(["DATA", "--out", "RUN", "--resume", "ffhq.pkl"])
        ['DATA', '--out', 'RUN', '--start-from', 'ffhq.pkl']
        >>> started_from(["--resume", "DATA", "--out", "RUN"])
        ['--resume', 'DATA', '--out', 'RUN']

    Where DATA stands first, whatever does not exist after --resume is a mistyped checkpoint, and no second DATA.
    """
    words = [word for part in arguments for word in (part.split("=", 1) if part.startswith("--resume=") else [part])]
    for word, following in zip(range(len(words)), words[1:]):
        missing = not words[0].startswith("-") and not following.startswith("-") and not Path(following).exists()
        if words[word] == "--resume" and (missing or is_checkpoint(following)):
            words[word] = "--start-from"
    return words


def is_checkpoint(word: str) -> bool:
    """Whether a word names a file of networks, or the folder of a training."""
    return Path(word).suffix.lower() in CHECKPOINTS or (Path(word) / "generator.safetensors").is_file()
