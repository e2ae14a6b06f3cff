"""Tensors in, numbers out: how good classifiers, generators and explanations are."""

from histoxplain._lazy import attach

_names = {
    "bootstrap": ["Interval", "draw_weights", "interval_about", "ratio_interval", "share_interval"],
    "classification": [
        "area_under_curve",
        "balanced_accuracy",
        "classification_report",
        "confusion_matrix",
        "expected_calibration_error",
        "fit_temperature",
        "one_against_rest",
    ],
    "concepts": [
        "agreement",
        "any_of_them",
        "concept_consistency",
        "concept_sparsity",
        "conciseness",
        "map_correlation",
        "most_important",
        "probability_drop",
        "relevance",
        "relevant",
    ],
    "coverage": ["Coverage", "coverage"],
    "diversity": ["mean_pairwise_distance"],
    "distance": ["Distance"],
    "drawn_distance": ["drawn_frechet_distances", "drawn_kernel_distances"],
    "faithfulness": ["Curve", "Faithfulness", "deletion_curve", "faithfulness", "insertion_curve", "rank_correlation"],
    "feature_set": ["FeatureSet", "gather_features", "space_of"],
    "features": ["FEATURES", "FeatureNet", "FeatureSpace", "best_features", "extract_features", "feature_net"],
    "frechet": ["frechet_distance", "gaussian_distance", "mean_and_covariance"],
    "inception": ["INCEPTION", "InceptionNet"],
    "inception_weights": ["fetch_weights", "find_weights", "how_to_get_weights"],
    "kernel": ["kernel_distance", "polynomial_mmd"],
    "localisation": ["best_overlap", "outside_share", "overlap", "pointing_game"],
    "minimality": ["needed_share"],
    "perceptual": ["PerceptualDistance", "perceptual_distance", "perceptual_net"],
    "proximity": ["l1_distance", "sparsity"],
    "sanity": ["randomised", "sanity_check"],
    "segmentation": ["counterfactual_validity", "segmentation_scores"],
    "validity": ["is_valid", "validity"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
