"""Where pixels come from: cases, and one file per source."""

from histoxplain._lazy import attach

_names = {
    "case": ["Case"],
    "downloads": ["download"],
    "folder": ["ImageFolder"],
    "hashing": ["fingerprint"],
    "lmdb": ["ImageLMDB"],
    "lmdb_writer": ["LMDBWriter"],
    "npz": ["ImageNPZ"],
    "opening": ["open_source"],
    "preparation": ["prepare"],
    "published": ["Published"],
    "report": ["Report"],
    "rosinality": ["RosinalityLMDB"],
    "source": ["Row", "Source"],
    "splits": ["split_groups"],
    "stain": ["optical_density", "separate_stains"],
    "transforms": ["UnreadableImageError", "read_image", "square", "to_uint8", "to_unit"],
    "zip": ["ImageZip"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names, ["synthetic", "volumes"])
