"""Take away what is seen: choose a kind, press, and download."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from html import escape

import ipywidgets as ipw

from histoxplain.widgets.exports import KINDS

TITLES = {
    "Picture: before, now, change (PNG)": "picture",
    "Explanation with report (ZIP)": "explanation",
    "Film of the way (GIF)": "GIF",
    "Film of the way (MP4)": "MP4",
    "Python that makes it again": "Python",
}
TYPES = {
    ".png": "image/png",
    ".zip": "application/zip",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".py": "text/x-python",
}


class Saving:
    """Chooses what to save and shows what was made.

    Args:
        on_make: is called with the kind, one of `KINDS`, when the button is pressed.
    """

    def __init__(self, on_make: Callable[[str], None]) -> None:
        self.kind = ipw.Dropdown(options=TITLES, layout={"width": "98%"})
        self.make = ipw.Button(description="Make file", icon="download", button_style="primary")
        self.made = ipw.HTML()
        self.made.add_class("hx-save")
        self.make.on_click(lambda _: on_make(self.kind.value))
        self.kind.observe(lambda _: self.clear(), "value")
        self.widget = ipw.VBox([self.kind, self.make, self.made])

    def clear(self) -> None:
        """What was made is out of date."""
        self.made.value = ""

    def show(self, kind: str, content: bytes) -> None:
        """A link to download a file with, and the file itself where it is text or moves."""
        name = KINDS[kind]
        address = f"data:{TYPES.get(kind, 'text/x-python')};base64,{b64encode(content).decode()}"
        size = f"{len(content) / 1e6:.1f} MB" if len(content) >= 1e5 else f"{len(content) / 1e3:.0f} kB"
        link = f"<div><a href='{address}' download='{name}'>Download {name}</a> ({size})</div>"
        shown = ""
        if kind == "Python":
            shown = f"<pre class='hx-code'>{escape(content.decode())}</pre>"
        elif kind == "GIF":
            shown = f"<img src='{address}' alt='film of the way' style='max-width:240px'>"
        self.made.value = link + shown
