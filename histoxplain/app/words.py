"""Errors as people who do not program want to read them."""

from __future__ import annotations

import re

OURS = "Something went wrong here, not with your image. Whoever runs this page finds the reason in its log."


def plain(error: Exception) -> str:
    """A message without back quotes and without folders of the machine.

    Example:
        >>> plain(ValueError("`image` must be a readable image, got /srv/x/a.png (the file is empty)."))
        'The image must be a readable image, got a.png (the file is empty).'
    """
    text = re.sub(r"(?<![\w.])(?:/[\w.+-]+)+/(?=[\w.+-])", "", str(error))
    text = re.sub(r"`fit=True` \(`--fit`\)", "a program", text)
    return re.sub(r"^`(\w+)`", r"The \1", text).replace("`", "")
