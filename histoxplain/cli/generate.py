"""Draw images with a generator: by seed and class, mixed from two, or on the way from seed to seed.

NETWORK is a bundle, the folder of a training, or a checkpoint file of ours, NVIDIA's (.pkl) or rosinality's (.pt). A
seed draws the image that it draws elsewhere too. OUT receives seed0000.png, or CLASS-seed0000.png, for every seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models import Bundle


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain generate`."""

    network: Annotated[Positional[str], arg(metavar="NETWORK")]
    """A bundle, a training's folder or a checkpoint file."""
    out: Path = Path("outputs/generate")
    """Folder to write to."""
    seeds: str = "0-7"
    """Numbers and ranges, as in 0-35,85."""
    class_: Annotated[str | None, arg(name="class", metavar="NAME")] = None
    """The class to draw; by default every class that the generator was taught."""
    truncation_psi: float = 1.0
    """How far from the average image: 1 all the way, 0 not at all; less gives fewer oddities and less variety."""
    truncation_cutoff: int | None = None
    """Truncate only so many layers, the coarsest ones; by default all."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Noise of the layers: the network's own, drawn anew, or none."""
    mix: str | None = None
    """Seeds of styles: also write mixing.png, a row for each of --seeds and a column for each of these."""
    mix_layers: str | None = None
    """Layers that take the columns' styles, such as 0-6; by default the coarser half."""
    interpolate: int = 0
    """Also write interpolation.png, with this many steps from each seed to the next."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of the convolutions; "auto" is bfloat16 where that is faster."""
    latents: Path | None = None
    """File of `histoxplain project` whose latents to draw instead of seeds."""

    def __call__(self) -> None:
        """Draw, and say where the images are."""
        for path in generate(self):
            print(path)


def generate(command: Command) -> list[Path]:
    """Draw what is asked for.

    Returns:
        The files written.

    Raises:
        InputError: on an unknown network, class, seed or layer.
    """
    from histoxplain._checks import check, check_at_least
    from histoxplain.cli.network import labels_of, numbers, open_network

    check(not command.out.is_file(), "out", "be a folder", f"the file {command.out}", "choose another name")
    check_at_least("interpolate", command.interpolate, 0)
    seeds = numbers("seeds", command.seeds)
    styles = numbers("mix", command.mix) if command.mix else []
    bundle = open_network(command.network, command.precision)
    G = bundle.generator
    cutoff = command.truncation_cutoff
    check(cutoff is None or 0 <= cutoff <= G.num_ws, "truncation_cutoff", f"lie in [0, {G.num_ws}]", cutoff)
    if command.latents is not None:
        return draw_latents(command, bundle)
    layers = numbers("mix_layers", command.mix_layers) if command.mix_layers else list(range(G.num_ws // 2))
    check(max(layers) < G.num_ws, "mix_layers", f"lie in 0 to {G.num_ws - 1}", command.mix_layers)
    written = []
    for label in labels_of(bundle, command.class_) or [None]:
        written += draw_class(command, bundle, label, seeds, styles, layers)
    return written


def draw_class(
    command: Command, bundle: Bundle, label: int | None, seeds: list[int], styles: list[int], layers: list[int]
) -> list[Path]:
    """Every picture of one class; `label` is None without labels."""
    from histoxplain.explain import draw, latent_path
    from histoxplain.train.samples import mix_styles, save_picture, tiled

    G, mode = bundle.generator, {"noise_mode": command.noise_mode}
    before = "" if label is None else f"{bundle.class_names[label]}-".replace("/", "-")
    ws = latents(command, bundle, label, seeds)
    written = [
        save_picture(command.out / f"{before}seed{seed:04d}.png", tiled(draw(G, one[None], **mode), 1))
        for seed, one in zip(seeds, ws)
    ]
    if styles:
        columns = latents(command, bundle, label, styles)
        mixed = [row for one, others in zip(ws, mix_styles(ws, columns, layers)) for row in (one[None], others)]
        grid = with_corner(draw(G, columns, **mode), [draw(G, part, **mode) for part in mixed])
        written.append(save_picture(command.out / f"{before}mixing.png", tiled(grid, len(seeds) + 1)))
    if command.interpolate and len(seeds) > 1:
        strip = tiled(draw(G, latent_path(ws, command.interpolate), **mode), 1)
        written.append(save_picture(command.out / f"{before}interpolation.png", strip))
    return written


def latents(command: Command, bundle: Bundle, label: int | None, seeds: list[int]) -> Tensor:
    """Truncated latents of seeds, `(N, num_ws, w_dim)`."""
    import torch

    from histoxplain.explain import one_hot
    from histoxplain.train.samples import seed_noise

    G = bundle.generator
    c = None if label is None else one_hot([label] * len(seeds), G)
    with torch.no_grad():
        return G.mapping(seed_noise(G, seeds), c, command.truncation_psi, command.truncation_cutoff)


def with_corner(columns: Tensor, rows: list[Tensor]) -> Tensor:
    """Images of a grid in order: a white corner, the columns' own images, then every row."""
    import torch

    return torch.cat([torch.ones_like(columns[:1]), columns, *rows])


def draw_latents(command: Command, bundle: Bundle) -> list[Path]:
    """The images of latents in a file."""
    from histoxplain.explain import draw, load_latents
    from histoxplain.train.samples import save_picture, tiled

    ws = load_latents(command.latents, bundle.generator)
    images = draw(bundle.generator, ws, noise_mode=command.noise_mode)
    return [
        save_picture(command.out / f"{command.latents.stem}{i:04d}.png", tiled(image[None], 1))
        for i, image in enumerate(images)
    ]
