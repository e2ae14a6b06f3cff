"""`Check`: one question that decides whether an explanation can be trusted, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """A question, what was found, and which doubts follow."""

    name: str
    """A short name, the same for all images: "familiar", "drawable", ..."""
    question: str
    """As a pathologist would ask it."""
    answer: str
    """What was found, or why nothing could be."""
    doubts: tuple[str, ...] = ()
    """Reasons not to trust the explanation as a whole, as clauses."""
    doubtful: Mapping[int, str] = field(default_factory=dict)
    """Reasons not to trust single counterfactuals, by their number from 0 on."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers behind the answer; JSON types."""
    done: bool = True
    """Whether it could be checked."""

    @property
    def fine(self) -> bool | None:
        """Whether it leaves no doubt; None where it could not be checked."""
        return not (self.doubts or self.doubtful) if self.done else None

    def to_json(self) -> dict[str, Any]:
        """JSON types only; counterfactuals are numbered from 1 on, as in the names of their files."""
        numbered = {str(i + 1): why for i, why in self.doubtful.items()}
        head = {"name": self.name, "question": self.question, "answer": self.answer, "fine": self.fine}
        return head | {"doubts": list(self.doubts), "doubtful": numbered, "figures": dict(self.figures)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Check:
        """What `to_json` wrote."""
        doubtful = {int(i) - 1: why for i, why in content["doubtful"].items()}
        words = {name: content[name] for name in ("name", "question", "answer", "figures")}
        return cls(**words, doubts=tuple(content["doubts"]), doubtful=doubtful, done=content["fine"] is not None)


def unchecked(name: str, question: str, reason: str) -> Check:
    """A check that could not be made, and why."""
    return Check(name, question, reason, done=False)
