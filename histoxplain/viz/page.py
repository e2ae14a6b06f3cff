"""The frame of every HTML page: one file with its pictures inside, light and dark, and A4 on paper."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain.data import to_uint8
from histoxplain.viz.latent_map import class_colours
from histoxplain.viz.provenance import Provenance, provenance_html

WARNING = "For research use only. Not for diagnosis."


def page_html(
    title: str, lead: str, body: str, header: str = "", caution: str = "", provenance: Provenance | None = None
) -> str:
    """A whole page.

    Args:
        title: the headline, as text.
        lead: what it is about, as text.
        body: its sections, as HTML.
        header: more of the head, as HTML.
        caution: the last words, as text.
        provenance: where the page comes from; None says the versions only.
    """
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
<p class="warning">{WARNING}</p>
{header}
</header>
<main>
{body}
</main>
{provenance_html(provenance)}
<footer>{WARNING} {escape(caution)}</footer>
</body>
</html>
"""


def write_page(path: str | Path, html: str) -> Path:
    """Write a page; it appears whole or not at all."""
    with replacing(path) as part:
        part.write_text(html, encoding="utf-8")
    return Path(path)


def embed(image: Tensor | np.ndarray, lossless: bool = True) -> str:
    """A WebP data URI of an image.

    Args:
        image: `(C, H, W)` in `[-1, 1]`, of which the first channel is shown unless there are three; or uint8
            `(H, W, 3)`.
        lossless: keep every pixel.
    """
    if isinstance(image, Tensor):
        u8 = to_uint8(image.detach().cpu()).numpy()
        image = np.ascontiguousarray(u8.transpose(1, 2, 0)) if len(u8) == 3 else u8[0]
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=lossless, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def image_html(image: Tensor | np.ndarray, alt: str, kind: str = "", lossless: bool = True) -> str:
    """An embedded image; `alt` says in words what it shows, as text."""
    attribute = f' class="{kind}"' if kind else ""
    return f'<img{attribute} src="{embed(image, lossless)}" alt="{escape(alt)}">'


def figure_html(image: Tensor | np.ndarray, alt: str) -> str:
    """An embedded image in a frame of its own."""
    return f'<figure class="picture">{image_html(image, alt)}</figure>'


def bars_html(class_names: Sequence[str], probabilities: Tensor, asked: int | None = None) -> str:
    """The probability of every class as words and bars; the class asked for stands out."""
    cells = []
    for k, (name, colour) in enumerate(class_colours(class_names).items()):
        p = float(probabilities[k])
        kind = ' class="asked"' if k == asked else ""
        width = f"{100 * min(max(p, 0.0), 1.0):.1f}%"
        cells.append(f"<p{kind}><span>{escape(name)}</span><b>{p:.0%}</b></p>")
        cells.append(f'<div class="bar"><i style="width:{width};--colour:{colour}"></i></div>')
    return f'<div class="bars">{"".join(cells)}</div>'


def legend_html(low: str, high: str, colours: Sequence[str], short: bool = False) -> str:
    """A colour bar with words at its ends; `colours` as hexadecimal digits."""
    stops = ",".join(f"#{colour}" for colour in colours)
    kind = "legend short" if short else "legend"
    bar = f'<i style="--stops:{stops}"></i>'
    return f'<div class="{kind}"><span>{escape(low)}</span>{bar}<span>{escape(high)}</span></div>'


def details_html(title: str, facts: Mapping[str, str]) -> str:
    """A table that unfolds when it is asked for, and on paper always."""
    rows = (f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in facts.items())
    return f"<details><summary>{escape(title)}</summary><table>{''.join(rows)}</table></details>"
