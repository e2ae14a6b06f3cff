"""Conditional StyleGAN2-ADA: a skip generator and a residual discriminator (Karras et al., 2020)."""

from histoxplain._lazy import attach

_names = {
    "config": ["DiscriminatorConfig", "EncoderConfig", "GeneratorConfig"],
    "generator": ["Generator"],
    "discriminator": ["Discriminator"],
    "checkpoints": ["load_discriminator", "load_generator", "save_discriminator", "save_generator"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names, ["layers"])
