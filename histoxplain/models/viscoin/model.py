"""A concept model: what a classifier looks for, as a few dozen concepts that a generator can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_images
from histoxplain.models.detail import detailed
from histoxplain.models.detail_encoder import DetailEncoder, encode
from histoxplain.models.viscoin.config import POOLED, ConceptConfig, Support, renamed
from histoxplain.models.viscoin.extractor import Extractor
from histoxplain.models.viscoin.stages import find_stages, stage_maps
from histoxplain.models.viscoin.translator import ConceptTranslator

if TYPE_CHECKING:
    from histoxplain.models.classifier import Classifier
    from histoxplain.models.encoder import Encoder
    from histoxplain.models.stylegan2 import Generator
    from histoxplain.models.vote import Vote

SAMPLES = 4096
"""Latents whose mean and deviation the moves start from, where a generator does not know its mean."""
LEAST = 7
"""Concept maps have this side or more where a stage has."""


class Concepts(NamedTuple):
    """What a concept model reads in images: all that draws them, so that concepts can be changed and looked at."""

    phi: Tensor
    """How much there is of each concept, and where: `(N, K, 3, 3)`, 0 or more."""
    support: Tensor | None
    """What concepts leave out, Phi': `(N, 9 K)`, or `(N, num_ws, w_dim)` with an encoder; None to leave it out."""
    detail: Tensor | None = None
    """What latents cannot say, `(N, C, h, w)`, with an encoder that finds it."""
    logits: Tensor | None = None
    """The classifier's opinion of the images, `(N, classes)`."""

    def scaled(self, factors: Tensor | Mapping[int, float]) -> Concepts:
        """The same with concepts amplified (above 1), dampened (below) or removed (0).

        Args:
            factors: of some concepts, by number; or of all, `(K,)` or `(N, K)`.

        Raises:
            InputError: for a concept that does not exist.

        Example:
            >>> concepts = Concepts(torch.ones(1, 2, 3, 3), None)
            >>> concepts.scaled({1: 4}).phi[0, :, 0, 0].tolist()
            [1.0, 4.0]
        """
        if isinstance(factors, Mapping):
            count, given = self.phi.shape[1], factors
            for k in given:
                check(0 <= k < count, "factors", f"be of concepts 0 to {count - 1}", k)
            factors = torch.ones(count)
            for k, factor in given.items():
                factors[k] = factor
        return self._replace(phi=self.phi * factors.to(self.phi)[..., None, None])


class ConceptModel(nn.Module):
    """Concepts that predict what a classifier says and that a generator can show (VisCoIN, Parekh et al., 2024).

    Psi reads K concepts from the classifier's feature maps; Theta predicts the classifier's opinion from their maxima
    alone; Omega says them, with what they leave out, to a generator. Classifier, generator and encoder stay as they
    are and are no part of the weights. Every image, read or drawn, is in [-1, 1]: the classifier normalises for itself.

    Args:
        classifier: any with layers that make maps.
        generator: StyleGAN2's, with classes or without.
        config: the shape; see `config_for`.
        encoder: the generator's, for a config whose support is "encoder".
        meta: figures, images seen in training, the data's licence.

    Raises:
        InputError: if the networks do not fit the config.
    """

    def __init__(
        self,
        classifier: Classifier | Vote,
        generator: Generator,
        config: ConceptConfig,
        encoder: Encoder | DetailEncoder | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _check_networks(classifier, generator, config, encoder)
        self.config, self.meta = config, dict(meta or {})
        self._frozen = (classifier, generator, encoder)  # a tuple, so that their weights are not this model's
        self.psi = Extractor(config)
        self.theta = nn.Linear(config.concepts, len(config.class_names))
        self.omega = ConceptTranslator(config)

    @property
    def classifier(self) -> Classifier | Vote:
        """Whose opinion the concepts predict."""
        return self._frozen[0]

    @property
    def generator(self) -> Generator:
        """Draws the concepts."""
        return self._frozen[1]

    @property
    def encoder(self) -> Encoder | DetailEncoder | None:
        """Says what concepts leave out, where the config wants it."""
        return self._frozen[2]

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the concepts; "concept 1", "concept 2"... where nobody named one."""
        return tuple(name or f"concept {k + 1}" for k, name in enumerate(self.config.names))

    def rename(self, names: Mapping[int, str]) -> None:
        """Name some concepts, by number; "" takes a name away. They are saved with the model.

        Raises:
            InputError: for a concept that does not exist, or a name given to two.
        """
        self.config = replace(self.config, names=renamed(self.config.names, names))

    def maps(self, x: Tensor) -> Tensor:
        """Where each concept is: images `(N, C, H, W)` in [-1, 1] to `(N, K, g, g)`, before pooling to 3 x 3."""
        return self.see(x)[0]

    def concepts(self, x: Tensor) -> Concepts:
        """Read images.

        Args:
            x: `(N, C, H, W)` in [-1, 1].

        Raises:
            InputError: on images of other channels, or of another size than an encoder takes.
        """
        maps, rest, logits = self.see(x)
        phi = pooled(maps)
        if self.config.support == "features":
            return Concepts(phi, rest, None, logits)
        ws, detail = self._encode(x)
        support = self.config.residue * self.omega.left_out(ws, phi)
        return Concepts(phi, support, detail, logits)

    def predict(self, phi: Tensor) -> Tensor:
        """Theta: the logits `(N, classes)` of concepts `(N, K, 3, 3)`, from each one's maximum alone."""
        return self.theta(phi.amax((2, 3)))

    def importance(self, phi: Tensor) -> Tensor:
        """What each concept adds to each class's logit: activation x weight, `(N, K, classes)`."""
        return phi.amax((2, 3))[:, :, None] * self.theta.weight.T

    def latents(self, phi: Tensor, support: Tensor | None = None) -> Tensor:
        """Omega: latents `(N, num_ws, w_dim)` of concepts; without support those of the concepts alone."""
        return self.omega(phi, support)

    def draw(self, concepts: Concepts) -> Tensor:
        """The images of concepts, `(N, C, R, R)` in [-1, 1]."""
        with detailed(self.generator, concepts.detail):
            x = self.generator.synthesis(self.latents(concepts.phi, concepts.support), noise_mode="const")
        return x.float().clamp(-1, 1)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images `(N, C, H, W)` in [-1, 1] as their concepts and support draw them, `(N, C, R, R)` in [-1, 1]."""
        return self.draw(self.concepts(x))

    def amplify(self, x: Tensor, factors: Tensor | Mapping[int, float]) -> Tensor:
        """Images with concepts amplified, dampened or removed; see `Concepts.scaled`."""
        return self.draw(self.concepts(x).scaled(factors))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(N, classes)` of images, predicted from their concepts."""
        return self.predict(pooled(self.maps(x)))

    def see(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Psi, in one pass of the classifier: concept maps, Phi' of features or None, the classifier's logits."""
        check_images("x", x, self.classifier.channels)
        logits, maps = stage_maps(self.classifier, x, self.config.stages)
        return *self.psi(maps), logits

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            if not self.config.detail:
                return self.encoder(x), None
            found = encode(self.generator, self.encoder, x)
            return found.ws, None if found.detail is None else self.config.detail * found.detail

    @torch.no_grad()
    def calibrate(self, x: Tensor, seed: int = 0) -> None:
        """Before training: measure the classifier's features on some images, and where the generator's latents lie.

        The generator's own mean w is taken; where it never measured one, the mean of 4,096 latents is.
        """
        self.psi.calibrate(stage_maps(self.classifier, x, self.config.stages)[1])
        known = getattr(self.generator.mapping, "w_avg", None)
        known = known if known is not None and known.abs().max() > 0 else None
        self.omega.calibrate(sample_latents(self.generator, SAMPLES, seed), known)


def pooled(maps: Tensor) -> Tensor:
    """Concept maps `(N, K, g, g)` as concepts, `(N, K, 3, 3)`."""
    return F.adaptive_avg_pool2d(maps, POOLED)


@torch.no_grad()
def sample_latents(G: Generator, count: int, seed: int = 0) -> Tensor:
    """Latents `(count, w_dim)` of a generator, of all its classes in turn."""
    device = next(G.parameters()).device
    z = torch.randn(count, G.z_dim, generator=torch.Generator().manual_seed(seed)).to(device)
    c = torch.eye(G.c_dim, device=device)[torch.arange(count, device=device) % G.c_dim] if G.c_dim else None
    return G.mapping(z, c)[:, 0]


def config_for(
    classifier: Classifier | Vote,
    generator: Generator,
    encoder: Encoder | DetailEncoder | None = None,
    *,
    concepts: int = 24,
    width: int = 128,
    support: Support | None = None,
    first_ws: int | None = None,
    last_ws: int | None = None,
    residue: float = 1.0,
    detail: float = 0.0,
    bounded: float = 0.98,
) -> ConceptConfig:
    """The shape of a concept model for a classifier and a generator.

    Args:
        classifier: its three smallest stages are looked at; see `find_stages`.
        generator: what the concepts are shown by.
        encoder: the generator's, if there is one.
        concepts: how many.
        width: channels taken from each stage; 512 as published.
        support: "encoder" where there is one, else "features"; see `ConceptConfig`.
        first_ws, last_ws: the latents that concepts move; by default all with an encoder, else the middle half.
        residue, detail: shares of what an encoder says that are taken.
        bounded: how far latents may go; see `ConceptConfig`.

    Raises:
        InputError: if the classifier makes no maps.
    """
    stages = find_stages(classifier)
    support = support or ("features" if encoder is None else "encoder")
    middle = (generator.num_ws // 4, generator.num_ws - generator.num_ws // 4)
    first, last = middle if support == "features" else (0, generator.num_ws)
    sides = [stage.side for stage in stages]
    return ConceptConfig(
        class_names=tuple(classifier.class_names),
        concepts=concepts,
        stages=tuple((stage.name, stage.channels) for stage in stages),
        sides=tuple(sides),
        grid=min((side for side in sides if side >= LEAST), default=max(sides)),
        width=width,
        num_ws=generator.num_ws,
        w_dim=generator.w_dim,
        first_ws=first if first_ws is None else first_ws,
        last_ws=last if last_ws is None else last_ws,
        support=support,
        residue=residue,
        detail=detail,
        bounded=bounded,
    )


def _check_networks(
    classifier: Classifier | Vote,
    generator: Generator,
    config: ConceptConfig,
    encoder: Encoder | DetailEncoder | None,
) -> None:
    names, got = config.class_names, tuple(classifier.class_names)
    check(got == names, "classifier", f"know the classes {', '.join(names)}", ", ".join(got))
    shape, got = (config.num_ws, config.w_dim), (generator.num_ws, generator.w_dim)
    check(got == shape, "generator", f"take {shape[0]} latents of {shape[1]} numbers", got)
    same = generator.img_channels == classifier.channels
    check(same, "generator", f"draw the classifier's {classifier.channels} channels", generator.img_channels)
    if config.support == "encoder":
        check(encoder is not None, "encoder", "be given for concepts whose support comes from one", None)
        got = (encoder.num_ws, encoder.w_dim)
        check(got == shape, "encoder", f"find {shape[0]} latents of {shape[1]} numbers", got)
