"""Quick networks for the questions of a search; its answers are drawn and judged by the bundle's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from torch import nn

from histoxplain.models import Classifier, Generator, Vote
from histoxplain.models.folded import quick_copy

if TYPE_CHECKING:
    from histoxplain.models.stylegan2.interactive import InteractiveGenerator

_made: WeakKeyDictionary[nn.Module, tuple[Any, Any]] = WeakKeyDictionary()


def quick_classifier(classifier: Any) -> Any:
    """`models.folded.quick_copy` of a classifier, made once; any other network or function as it is."""
    return _kept(classifier, quick_copy) if isinstance(classifier, Classifier | Vote) else classifier


def quick_generator(generator: Any) -> InteractiveGenerator | None:
    """What draws a generator's images without gradients, made once; None for another kind of generator."""
    return _kept(generator, _drawing) if isinstance(generator, Generator) else None


def _drawing(generator: Generator) -> InteractiveGenerator:
    return generator.interactive(keep=False)


def _kept(network: nn.Module, make: Callable[[Any], Any]) -> Any:
    """What was made of a network, as long as its weights are the same."""
    weights = tuple((w.data_ptr(), w._version) for w in chain(network.parameters(), network.buffers()))
    if _made.get(network, (None,))[0] != weights:
        _made[network] = weights, make(network)
    return _made[network][1]
