"""Other people's checkpoints, read without running anything that is in them."""

from histoxplain._lazy import attach

_names = {
    "reading": ["foreign_kinds", "is_foreign", "read_foreign"],
    "writing": ["write_state_dicts"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
