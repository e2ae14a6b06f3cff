"""How far an explanation can be trusted: one question a file, and `reliability`, which asks them all."""

from histoxplain._lazy import attach

_names = {
    "assessment": ["assessed", "reliability"],
    "check": ["Check"],
    "confidence": ["HOW", "check_sure", "opinions_of"],
    "familiarity": ["check_familiar", "fit_gaussians", "mahalanobis"],
    "likeness": ["likeness"],
    "measuring": ["measure_reference"],
    "percentile": ["RARE", "percentile"],
    "reconstruction": ["check_drawable", "reconstruction_error"],
    "second_opinion": ["check_second_opinion", "second_opinions"],
    "seeds": ["check_seeds"],
    "stability": ["as_jpeg", "check_stable", "disturbed"],
    "verdict": ["Reliability"],
    "words": ["MARKS", "reliability_html"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
