"""CycleGAN: networks that turn images of one class into another, and networks that tell such images from real ones."""

from histoxplain.models.cyclegan.checkpoints import load_translator, save_translator
from histoxplain.models.cyclegan.config import TranslatorConfig
from histoxplain.models.cyclegan.discriminator import PatchDiscriminator
from histoxplain.models.cyclegan.translator import Translator

__all__ = ["PatchDiscriminator", "Translator", "TranslatorConfig", "load_translator", "save_translator"]
