"""Records to sliders; no mathematics: a plain session computes, a widget observes."""

from histoxplain._lazy import attach

_names = {
    "answers": ["Answers"],
    "attribution_viewer": ["AttributionViewer"],
    "blend_viewer": ["BlendViewer"],
    "concept_session": ["ConceptSession"],
    "concept_viewer": ["ConceptViewer"],
    "counterfactual_session": ["CounterfactualSession"],
    "counterfactual_viewer": ["CounterfactualViewer"],
    "exports": ["export"],
    "explore_session": ["ExploreSession"],
    "explorer": ["Explorer"],
    "history": ["History"],
    "lane": ["Lane"],
    "latest": ["Latest"],
    "mask_viewer": ["MaskSession", "MaskViewer"],
    "picture": ["picture"],
    "place": ["Place", "Sight"],
    "slice_browser": ["SliceBrowser"],
    "slice_session": ["Look", "SliceSession"],
    "snippet": ["snippet_of"],
    "specimen": ["Specimen", "generated", "opened"],
    "state": ["Question", "State", "Walk"],
    "workbench": ["View", "Workbench"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
