"""Tensors in, numbers out: how good classifiers, generators and explanations are."""

from histoxplain._lazy import attach

_names = {
    "classification": [
        "area_under_curve",
        "balanced_accuracy",
        "classification_report",
        "confusion_matrix",
        "expected_calibration_error",
        "fit_temperature",
        "one_against_rest",
    ],
    "coverage": ["Coverage", "coverage"],
    "diversity": ["mean_pairwise_distance"],
    "distance": ["Distance"],
    "feature_set": ["FeatureSet", "gather_features", "space_of"],
    "features": ["FEATURES", "FeatureNet", "FeatureSpace", "best_features", "extract_features", "feature_net"],
    "frechet": ["frechet_distance", "gaussian_distance", "mean_and_covariance"],
    "inception": ["INCEPTION", "InceptionNet"],
    "inception_weights": ["fetch_weights", "find_weights", "how_to_get_weights"],
    "kernel": ["kernel_distance", "polynomial_mmd"],
    "perceptual": ["PerceptualDistance", "perceptual_distance", "perceptual_net"],
    "proximity": ["l1_distance", "sparsity"],
    "validity": ["is_valid", "validity"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
