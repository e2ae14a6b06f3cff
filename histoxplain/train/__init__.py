"""Fill checkpoints: one file per model, and what they share."""

from histoxplain._lazy import attach

_names = {
    "augment": ["AugmentPipe"],
    "classifier": ["train_classifier"],
    "config_classifier": ["ClassifierTraining"],
    "config_cyclegan": ["CycleGANConfig"],
    "config_encoder": ["EncoderTrainingConfig"],
    "config_gan": ["GANConfig"],
    "config_inpainting": ["InpaintingConfig"],
    "config_viscoin": ["ViscoinConfig"],
    "cyclegan": ["CycleGANTraining", "train_cyclegan"],
    "encoder": ["EncoderTraining", "train_encoder"],
    "gan": ["GANTraining", "train_gan"],
    "inpainting": ["InpaintingTraining", "train_inpainting"],
    "origin": ["shape_of"],
    "presets": ["augmentations", "preset"],
    "samples": ["mix_styles", "sample_grid", "seed_noise"],
    "viscoin": ["ViscoinTraining", "train_viscoin"],
    "vote": ["train_vote"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names, ["losses"])
