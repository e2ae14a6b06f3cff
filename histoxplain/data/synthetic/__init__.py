"""Procedural tissue whose causes and diseased part are known, so that explanations can be measured."""

from histoxplain._lazy import attach

_names = {"causes": ["Causes", "draw_causes"], "tissue": ["CLASS_NAMES", "repaint", "tissue"]}
__getattr__, __dir__, __all__ = attach(__name__, _names)
