"""Images in the pathologist's own units: nuclei, stains, white space, texture, and how an explanation changes them."""

from histoxplain._lazy import attach

_names = {
    "averages": ["AverageChange", "Averages", "average_changes"],
    "comparison": ["Change", "Comparison", "compare_explanation", "compare_images"],
    "measurements": ["Measurements", "measure_image"],
    "measures": ["GENERIC", "TISSUE", "Measure"],
    "nuclei": ["Nuclei", "segment_nuclei"],
    "recorded": ["with_measurements"],
    "yardstick": ["KINDS", "Yardstick", "kind_of", "yardstick_for"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
