"""Records to matplotlib figures and to HTML reports; nothing here computes an explanation."""

from histoxplain._lazy import attach

_names = {
    "attribution": ["attribution_grid"],
    "attribution_report": ["write_attribution_report"],
    "directions": ["direction_strips"],
    "evaluation": ["comparison_figure", "evaluation_figure"],
    "faithfulness": ["faithfulness_figure"],
    "figures": ["film_strip", "probability_bars", "sample_grid", "strip"],
    "latent_map": ["class_colours", "latent_map_figure"],
    "morphometry": ["outlined_nuclei"],
    "report": ["report_html", "write_report"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
