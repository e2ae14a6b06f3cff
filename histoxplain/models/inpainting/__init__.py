"""COIN: a network that makes abnormal images normal, and one that tells such images from real ones."""

from histoxplain.models.inpainting.checkpoints import load_inpainter, save_inpainter
from histoxplain.models.inpainting.config import InpainterConfig
from histoxplain.models.inpainting.discriminator import ProjectionDiscriminator
from histoxplain.models.inpainting.inpainter import Inpainter

__all__ = ["Inpainter", "InpainterConfig", "ProjectionDiscriminator", "load_inpainter", "save_inpainter"]
