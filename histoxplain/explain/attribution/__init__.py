"""Where the classifier looked: maps of what speaks for a class, by nine published methods behind one record."""

from histoxplain._lazy import attach

_names = {
    "attribute": ["attribute"],
    "colours": ["paint_map"],
    "layers": ["spatial_layers"],
    "methods": ["ATTRIBUTIONS"],
    "record": ["Attribution"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
