"""Augmentations that a discriminator may see without the generator learning them (ADA; Karras et al., 2020)."""

from histoxplain.train.augment.pipe import AugmentPipe

__all__ = ["AugmentPipe"]
