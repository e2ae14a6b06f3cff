"""How reliability is put into words and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

MARKS = {True: "fine", False: "doubtful", None: "open"}
"""What a table says of a check."""


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    Example:
        >>> listed(["1", "2", "3"])
        '1, 2 and 3'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def reliability_html(content: Mapping[str, Any]) -> str:
    """The sentence and a table, as HTML without a style of its own.

    Args:
        content: as `Reliability.to_json` gives it, such as `Explanation.reliability`.
    """
    rows = "".join(
        f"<tr><td>{escape(row['question'])}</td><td>{escape(row['answer'])}</td><td>{MARKS[row['fine']]}</td></tr>"
        for row in content["checks"]
    )
    return f"<div><p>{escape(content['sentence'])}</p><table>{rows}</table></div>"
