"""`Reliability`: how far an explanation can be trusted, as numbers and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histoxplain.explain.reliability.check import Check
from histoxplain.explain.reliability.words import listed, reliability_html


@dataclass(frozen=True)
class Reliability:
    """How far one explanation can be trusted: questions, their answers, and what follows from them."""

    checks: tuple[Check, ...]
    count: int
    """How many counterfactuals the explanation has."""

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons not to trust the explanation as a whole."""
        return tuple(doubt for check in self.checks for doubt in check.doubts)

    @property
    def trusted(self) -> list[bool]:
        """For every counterfactual, whether nothing speaks against it."""
        return [not self.doubts and not self.about(i) for i in range(self.count)]

    def about(self, index: int) -> list[str]:
        """Reasons not to trust one counterfactual."""
        return [check.doubtful[index] for check in self.checks if index in check.doubtful]

    def sentence(self) -> str:
        """When not to trust the explanation, or that there is no reason for doubt; and what could not be checked."""
        if self.doubts:
            words = [f"Do not trust this explanation: {listed(self.doubts)}."]
        elif not self.count:
            words = ["There is nothing to trust or distrust: no change was found."]
        else:
            words = self._about_changes()
        return " ".join([*words, *self._unchecked()])

    def _about_changes(self) -> list[str]:
        reasons = {i: self.about(i) for i in range(self.count)}
        fine = [i + 1 for i, why in reasons.items() if not why]
        words = []
        for why, numbers in _grouped({i + 1: tuple(why) for i, why in reasons.items() if why}).items():
            words.append(f"Do not trust {_named(numbers, self.count)}: {listed(why)}.")
        if fine:
            whom = "it" if self.count == 1 else "this explanation" if len(fine) == self.count else _named(fine, 0)
            done = sum(check.done for check in self.checks)
            words.append(f"No reason to distrust {whom} was found ({done} check{'s' * (done != 1)}).")
        return words

    def _unchecked(self) -> list[str]:
        missing = [f"{check.question} ({check.answer})" for check in self.checks if not check.done]
        return [f"Not checked: {' '.join(missing)}."] if missing else []

    def rows(self) -> list[dict[str, Any]]:
        """The table: one row a check with name, question, answer and fine (None where it could not be checked)."""
        names = ("name", "question", "answer", "fine")
        return [{name: getattr(check, name) for name in names} for check in self.checks]

    def to_json(self) -> dict[str, Any]:
        """JSON types only: `sentence`, `trusted` (one a counterfactual), and `checks` (see `Check.to_json`)."""
        checks = [check.to_json() for check in self.checks]
        return {"sentence": self.sentence(), "trusted": self.trusted, "checks": checks}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Reliability:
        """What `to_json` wrote, such as `Explanation.reliability`."""
        return cls(tuple(Check.from_json(one) for one in content["checks"]), len(content["trusted"]))

    def _repr_html_(self) -> str:
        """The sentence above the table, for notebooks."""
        return reliability_html(self.to_json())


def _grouped(reasons: Mapping[int, tuple[str, ...]]) -> dict[tuple[str, ...], list[int]]:
    """Numbers by what is said about them."""
    found: dict[tuple[str, ...], list[int]] = {}
    for number, why in reasons.items():
        found.setdefault(why, []).append(number)
    return found


def _named(numbers: Sequence[int], count: int) -> str:
    """The counterfactuals of these numbers in words.

    Example:
        >>> _named([2], 4), _named([1, 3], 4), _named([1], 1), _named([1, 2], 2)
        ('change 2', 'changes 1 and 3', 'this change', 'any of the changes')
    """
    if len(numbers) == count:
        return "this change" if count == 1 else "any of the changes"
    return f"change{'s' * (len(numbers) != 1)} {listed([str(n) for n in numbers])}"
