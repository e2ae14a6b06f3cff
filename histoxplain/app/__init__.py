"""The same explanations behind a web page and an HTTP interface."""

from histoxplain._lazy import attach

_names = {
    "answers": ["Answer", "answer", "maps_for", "ways_for"],
    "desk": ["BusyError", "Desk", "LateError"],
    "pictures": ["Limits", "Picture", "example_picture", "read_picture"],
    "serving": ["serve", "web_app"],
    "shelf": ["Shelf"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
