"""Records to sliders; no mathematics: a plain session computes, a widget observes."""

from histoxplain._lazy import attach

_names = {
    "attribution_viewer": ["AttributionViewer"],
    "blend_viewer": ["BlendViewer"],
    "concept_session": ["ConceptSession"],
    "concept_viewer": ["ConceptViewer"],
    "counterfactual_session": ["CounterfactualSession", "Specimen", "generated", "opened"],
    "counterfactual_viewer": ["CounterfactualViewer"],
    "explore_session": ["ExploreSession", "Place", "Sight"],
    "explorer": ["Explorer"],
    "latest": ["Latest"],
    "mask_viewer": ["MaskSession", "MaskViewer"],
    "picture": ["picture"],
    "slice_browser": ["SliceBrowser"],
    "slice_session": ["Look", "SliceSession"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
