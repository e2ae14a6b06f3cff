"""The explorer as a picture, for pages without a kernel."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from histoxplain.viz.latent_map import latent_map_figure
from histoxplain.widgets.change_picture import change_over, change_words
from histoxplain.widgets.explorer.scene import titles
from histoxplain.widgets.explorer.words import opinion
from histoxplain.widgets.picture import beside, enlarged, picture, png

if TYPE_CHECKING:
    from histoxplain.widgets.workbench import Workbench


def still_of(bench: Workbench, colour: str, side: int, threshold: float) -> bytes:
    """What is seen, compared, changed, and where it lies on the map, in a row, as JPEG bytes."""
    view, names, latents = bench.see(), bench.class_names, bench.session.latents
    now, before = titles(bench, view.state)
    figure = latent_map_figure(latents, [colour], latents.locate(view.now.w), side=side / 100)
    shown = {f"{now}: {opinion(view.now, names)}": picture(view.now.image, side)}
    if view.change.any():
        first = {f"{before}: {opinion(view.before, names)}": picture(view.before.image, side)}
        map = enlarged(change_over(view.now.image, view.change, view.limit, threshold), side)
        shown = first | shown | {change_words(view.change, threshold).partition(":")[0]: map}
    drawn = Image.open(BytesIO(png(figure)))
    return beside(shown | {"the cross: where it lies": drawn})
