"""Procedural tissue whose causes and diseased part are known, so that explanations can be measured."""

from histoxplain._lazy import attach

_names = {
    "cases": ["CLASS_NAMES", "repaint", "tissue"],
    "causes": ["Causes", "draw_causes"],
    "preparation": ["prepare_tissue"],
    "truth": ["Truth", "truth"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
