"""Scans in three dimensions (CT, MR): read, brought upright, and cut into axial slices with masks."""

from histoxplain._lazy import attach

_names = {
    "anomaly": ["ANOMALIES", "add_anomaly"],
    "greys": ["WINDOWS", "Greys"],
    "grid": ["SliceGrid", "resample"],
    "organs": ["match_labels"],
    "preparation": ["prepare_volumes"],
    "reading": ["is_volume", "read_volume"],
    "volume": ["Volume", "upright"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
