"""Networks as functions of their configuration, and reading and writing them."""

from histoxplain._lazy import attach

_names = {
    "adopted": ["AdoptedClassifier", "AdoptedConfig", "adopt_classifier"],
    "adopted_file": ["load_adopted", "save_adopted"],
    "bundle": ["Bundle", "load_bundle", "write_bundle"],
    "checkpoint": ["Checkpoint", "load_checkpoint", "save_checkpoint"],
    "classifier": ["Classifier", "ClassifierConfig", "load_classifier", "save_classifier"],
    "conversion": ["Conversion", "convert"],
    "cyclegan": [
        "PatchDiscriminator",
        "Translator",
        "TranslatorConfig",
        "load_translator",
        "save_translator",
    ],
    "detail_encoder": ["DetailEncoder", "DetailEncoderConfig", "encode"],
    "encoder": ["Encoder", "load_encoder", "save_encoder"],
    "features": ["FeatureNet"],
    "inpainting": [
        "Inpainter",
        "InpainterConfig",
        "ProjectionDiscriminator",
        "load_inpainter",
        "save_inpainter",
    ],
    "reference": ["Reference", "load_reference", "save_reference"],
    "stylegan2": [
        "Discriminator",
        "DiscriminatorConfig",
        "EncoderConfig",
        "Generator",
        "GeneratorConfig",
        "load_discriminator",
        "load_generator",
        "save_discriminator",
        "save_generator",
    ],
    "uncertainty": ["Uncertainty", "uncertainty_of"],
    "viscoin": ["ConceptConfig", "ConceptModel", "Concepts", "load_concepts", "save_concepts"],
    "vote": ["Vote"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
