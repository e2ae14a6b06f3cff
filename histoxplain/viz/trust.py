"""How far to trust an explanation, as a part of the report: a sentence for everybody, and a table of what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

KINDS = {True: ("yes", "fine"), False: ("no", "doubtful"), None: ("open", "open")}
"""The colour of a badge and what it says, by whether a check leaves no doubt."""


def trust_sentence(content: Mapping[str, Any] | None) -> str:
    """The sentence in a box whose colour says whether there is a reason for doubt; nothing of what was not assessed.

    Args:
        content: `Explanation.reliability`.
    """
    if content is None:
        return ""
    found = {check["fine"] for check in content["checks"]}
    kind = "no" if False in found else "yes" if True in found else "open"
    return f'<p class="trust {kind}">{escape(content["sentence"])}</p>'


def trust_table(content: Mapping[str, Any] | None) -> str:
    """One row a question: the question, a badge, the answer.

    Args:
        content: `Explanation.reliability`.
    """
    if content is None:
        return ""
    rows = "".join(_row(check) for check in content["checks"])
    return f'<div class="whole"><h3>How far to trust it</h3><table class="checks">{rows}</table></div>'


def _row(check: Mapping[str, Any]) -> str:
    kind, word = KINDS[check["fine"]]
    badge = f'<span class="badge {kind}">{word}</span>'
    question = f'<th scope="row">{escape(check["question"])}</th>'
    return f"<tr>{question}<td>{badge}</td><td>{escape(check['answer'])}</td></tr>"
