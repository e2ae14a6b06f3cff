"""Where pixels come from: cases, and one file per source."""

from histoxplain._lazy import attach

_names = {
    "case": ["Case"],
    "folder": ["ImageFolder"],
    "lmdb": ["ImageLMDB", "LMDBWriter"],
    "opening": ["open_source"],
    "preparation": ["prepare"],
    "report": ["Report"],
    "source": ["Row", "Source"],
    "splits": ["split_groups"],
    "transforms": ["UnreadableImageError", "read_image", "square", "to_uint8", "to_unit"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names, ["synthetic"])
