"""The methods by name, and the short way to one counterfactual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.explain.along_directions import DirectionSearch
from histoxplain.explain.concept_search import ConceptSearch
from histoxplain.explain.cyclegan import Translation
from histoxplain.explain.explainer import Explainer
from histoxplain.explain.few_styles import StyleSearch
from histoxplain.explain.inpainting import Inpainting
from histoxplain.explain.latent_search import LatentSearch
from histoxplain.explain.pixels import PixelAscent
from histoxplain.explain.record import Explanation

if TYPE_CHECKING:
    from histoxplain.explain.explainer import AnyImage, Target
    from histoxplain.models import Bundle

METHODS: dict[str, type[Explainer]] = {
    one.method: one
    for one in (LatentSearch, StyleSearch, DirectionSearch, ConceptSearch, Translation, Inpainting, PixelAscent)
}


def make_explainer(method: str, bundle: Bundle, *, assess: bool = True, **options: Any) -> Explainer:
    """The explainer of that name.

    Args:
        method: a name in `METHODS`.
        bundle: the networks.
        assess: records say how far to trust them (see `reliability`).
        options: of the explainer.

    Raises:
        InputError: if there is no such method.
    """
    check_one_of("method", method, METHODS)
    explainer = METHODS[method](bundle, **options)
    explainer.assess = assess
    return explainer


def counterfactual(
    bundle: Bundle,
    image: AnyImage,
    target: int | str | None = None,
    count: int = 1,
    method: str = "latent",
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """What this image would have to look like for the classifier to say `target`.

    Args:
        bundle: the classifier to explain and the generator to draw with; see `hx.load_bundle`.
        image: a tensor `(C, H, W)` or `(1, C, H, W)` in `[-1, 1]`, a file, a `Case` or a PIL image.
        target: a class by name or number; None takes the runner-up.
        count: how many different answers.
        method: a name in `METHODS`: "latent", or for comparison "pixels".
        seed: fixes every draw.
        options: of the method's explainer, for instance `threshold=0.8` or `fit=True`.

    Raises:
        InputError: if the image, target, count or method is not what was expected.
    """
    check(not isinstance(image, list | tuple), "image", "be one image", "several", "use `Explainer.explain`")
    return make_explainer(method, bundle, **options).explain([image], target, count, seed)[0]


def explain_latents(
    bundle: Bundle,
    ws: Tensor,
    target: Target = None,
    count: int = 1,
    seed: int = 0,
    z: Tensor | None = None,
    **options: Any,
) -> list[Explanation]:
    """Counterfactuals of generated images, whose latents `(N, num_ws, w_dim)` are known; see `LatentSearch`."""
    return LatentSearch(bundle, **options).explain_latents(ws, target, count, seed, z)
