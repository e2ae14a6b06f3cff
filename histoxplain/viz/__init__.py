"""Records to matplotlib figures and to HTML reports; nothing here computes an explanation."""

from histoxplain._lazy import attach

_names = {
    "attribution": ["attribution_grid"],
    "attribution_report": ["attribution_sections", "write_attribution_report"],
    "concepts": ["concept_sheet", "image_concepts_sheet"],
    "directions": ["direction_strips"],
    "evaluation": ["comparison_figure", "evaluation_figure"],
    "faithfulness": ["faithfulness_figure"],
    "figures": ["film_strip", "probability_bars", "sample_grid", "strip"],
    "latent_map": ["class_colours", "latent_map_figure"],
    "morphometry": ["outlined_nuclei"],
    "provenance": ["Provenance", "command_line", "provenance_of"],
    "report": ["report_html", "write_report"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
