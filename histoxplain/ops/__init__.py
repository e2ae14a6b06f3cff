"""Differentiable primitives of StyleGAN2: tensors in, tensors out, gradients of any order."""

from histoxplain._lazy import attach

_names = {
    "_library": ["reference_only"],
    "activations": ["ACTIVATIONS"],
    "bias_act": ["bias_act"],
    "upfirdn2d": ["downsample2d", "filter2d", "setup_filter", "upfirdn2d", "upsample2d"],
    "conv2d_resample": ["conv2d_resample"],
    "epilogue": ["epilogue"],
    "modulated_conv2d": ["modulated_conv2d"],
}
__getattr__, __dir__, __all__ = attach(__name__, _names)
