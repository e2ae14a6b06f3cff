"""One idea per file, all returning records: images and latents in, `Explanation` out."""

from histoxplain._lazy import attach

_names = {
    "change": ["change_map", "paint_change"],
    "counterfactual": ["METHODS", "LatentSearch", "counterfactual", "explain_latents", "make_explainer"],
    "directions": [
        "Directions",
        "boundary_directions",
        "difference_directions",
        "find_directions",
        "principal_directions",
    ],
    "diverse": ["mean_pairwise_distance", "select_diverse"],
    "explainer": ["Explainer", "Found", "evaluating"],
    "generated": ["Generated", "generate_pairs"],
    "images": ["image_of", "quantised"],
    "interpolate": ["Film", "film_between", "film_of", "interpolate_classes", "latent_path"],
    "invert": ["Inversion", "invert"],
    "latent_file": ["load_latents", "save_latents"],
    "latent_map": ["LatentMap", "map_latents"],
    "latent_space": ["LatentSpace", "draw", "latent_space", "one_hot", "sample_z"],
    "morphometry": [
        "AverageChange",
        "Averages",
        "Change",
        "Comparison",
        "Measure",
        "Measurements",
        "Nuclei",
        "Yardstick",
        "average_changes",
        "compare_explanation",
        "compare_images",
        "kind_of",
        "measure_image",
        "segment_nuclei",
        "yardstick_for",
    ],
    "project": ["Projection", "Projector", "project"],
    "record": ["Explanation", "judge"],
    "search": ["Move", "bisect", "bracket", "descend"],
    "unjudged": ["Unjudged", "as_bundle"],
    "views": ["moved", "random_view"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
