"""Separate classifiers that vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_images, check_one_of
from histoxplain.models.classifier import Classifier, ClassifierConfig

KIND = "vote"
_LEAST = 1e-7  # probability of a class that nobody votes for: its logit stays finite


class Vote(nn.Module):
    """Several classifiers as one: whatever takes a `Classifier` takes a `Vote`.

    Soft votes are the mean of the members' probabilities. Hard votes are the share of members that prefer a class;
    no gradient passes through them, so explain soft votes where a method needs gradients.

    Args:
        members: two or more classifiers of the same classes in the same order, of equal channels.
        kind: "soft" or "hard".

    Raises:
        InputError: if there are fewer members, or they do not fit together.
    """

    temperature: Tensor

    def __init__(self, members: Sequence[Classifier], kind: Literal["soft", "hard"] = "soft") -> None:
        super().__init__()
        check(len(members) >= 2, "members", "be 2 classifiers or more", len(members))
        check_one_of("kind", kind, ("soft", "hard"))
        names = sorted({tuple(member.class_names) for member in members})
        check(len(names) == 1, "members", "know the same classes in the same order", names)
        channels = sorted({member.channels for member in members})
        check(len(channels) == 1, "members", "take images of equal channels", channels)
        self.kind = kind
        self.members = nn.ModuleList(members)
        self.register_buffer("temperature", torch.ones(()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the logits."""
        return self.members[0].class_names

    @property
    def resolution(self) -> int:
        """The largest side in pixels at which a member looks at images."""
        return max(member.resolution for member in self.members)

    @property
    def channels(self) -> int:
        """Channels of the images: 3 (RGB) or 1 (grey)."""
        return self.members[0].channels

    def shares(self, x: Tensor) -> Tensor:
        """What the votes come to: `(N, K)`, rows sum to 1, before calibration."""
        opinions = torch.stack([member.probabilities(x) for member in self.members])
        if self.kind == "hard":
            opinions = F.one_hot(opinions.argmax(dim=2), opinions.shape[2]).to(opinions.dtype)
        return opinions.mean(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of the votes, divided by the temperature: `(N, K)`; their softmax is the probability.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`, of any size, with `self.channels` channels.

        Raises:
            InputError: if `x` has another shape, type or number of channels.
        """
        check_images("x", x, self.channels)
        return self.shares(x).clamp(min=_LEAST).log() / self.temperature

    def probabilities(self, x: Tensor) -> Tensor:
        """Calibrated votes: `(N, K)`, rows sum to 1."""
        return self(x).softmax(dim=1)

    def description(self) -> dict[str, Any]:
        """What rebuilds it, except the weights."""
        return {"kind": self.kind, "members": [asdict(member.config) for member in self.members]}


def rebuild(description: Mapping[str, Any]) -> Vote:
    """A `Vote` with fresh weights from its `description()`."""
    members = [Classifier(ClassifierConfig(**{**config, "pretrained": False})) for config in description["members"]]
    return Vote(members, description["kind"])
