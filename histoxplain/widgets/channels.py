"""Which single style channels are worth a slider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from histoxplain._checks import check_at_least
from histoxplain.explain.explainer import class_index
from histoxplain.explain.style_sweep import StyleSweep

if TYPE_CHECKING:
    from histoxplain.widgets.explore_session import ExploreSession
    from histoxplain.widgets.place import Place


def telling_channels(
    session: ExploreSession, place: Place, target: str, count: int = 3
) -> list[tuple[str, int, float]]:
    """The style channels that seem to lead an image to a class most, by their gradients at its place; one pass.

    After StylEx (Lang et al., 2021); `hx.explain.AttFind` measures what is estimated here.

    Args:
        session: its generator must have styles, its classifier gradients.
        place: the image's; channels that were moved there do not matter.
        target: the class.
        count: how many.

    Returns:
        Layer, channel, and the estimated gain of the class's lead at the better end of the channel's range.

    Raises:
        InputError: if there is no such class, or the classifier has no gradients.
    """
    check_at_least("count", count, 1)
    label = class_index(target, session.class_names)
    ws = session.latent(place)
    among = session.latents.w[:, None].expand(-1, ws.shape[1], -1).to(ws)
    with session.searching:
        sweep = StyleSweep(session.bundle, ws, among, reuse=False)
        gain = sweep.slopes(torch.tensor([0]), label, None)[:, 0].unflatten(0, (2, -1)).amax(0)
    best = gain.topk(min(count, len(gain)))
    rows = zip(best.indices.tolist(), best.values.tolist())
    return [(sweep.layers[int(sweep.layer[i])], int(sweep.channel[i]), round(value, 4)) for i, value in rows]
