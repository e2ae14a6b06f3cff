"""How good a method's explanations are: measured on a data set, with intervals, so that methods can be compared."""

from histoxplain._lazy import attach

_names = {
    "concepts": ["measure_concepts"],
    "factors": ["Factor", "true_values"],
    "masks": ["MaskEvaluation", "MaskRow", "measure_masks"],
    "measuring": ["evaluate", "measure_explanations"],
    "questions": ["Questions", "ask", "spread", "synthetic_tissue"],
    "reality": ["real_features_of"],
    "record": ["Evaluation"],
    "tables": ["comparison_table", "evaluation_table"],
    "truth": ["Truth", "hold_against_truth"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
