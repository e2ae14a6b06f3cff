"""The features that published Fréchet distances (FID) are measured in.

InceptionV3 as it was published with TensorFlow in 2015 (Szegedy et al., arXiv:1512.00567), with the weights that
pytorch-fid ported; torch-fidelity and torchmetrics fetch the same file under another name. Images become 8-bit first,
as they would be saved, and the network sees `(u - 128) / 128` of the resized pixels u in [0, 255].

Numbers depend on how images are resized to 299 x 299 pixels (Parmar et al., 2022, arXiv:2104.11222), so each way has
a name of its own:

- `inception_v3-fid`: bilinear as in TensorFlow 1, the way of the first FID, torch-fidelity and torchmetrics;
- `inception_v3-fid-clean`: bicubic and antialiased, the way of clean-fid.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_images, check_one_of
from histoxplain._torchvision import torchvision
from histoxplain.data import to_uint8
from histoxplain.metrics.resize import bicubic, tensorflow_bilinear

INCEPTION = "inception_v3-fid"
"""The features of most published FIDs."""
RESIZES = {
    INCEPTION: (tensorflow_bilinear, "299 px, bilinear as in TensorFlow 1"),
    f"{INCEPTION}-clean": (bicubic, "299 px, bicubic, antialiased"),
}
"""Names of features in Inception -> how images are resized for them, and the same in words."""
SIDE = 299
CLASSES = 1008
AVERAGED = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b")
"""Blocks that average over windows without the padding, where torchvision's count the padding too."""
LARGEST = "Mixed_7c"
"""The block that takes the largest of each window, where torchvision's averages."""


class InceptionNet(nn.Module):
    """Pooled features of InceptionV3 with its published weights, which are fetched the first time (95 MB).

    Args:
        name: "inception_v3-fid" or "inception_v3-fid-clean", which differ in how images are resized.

    Raises:
        InputError: if there is no such name, or the weights can neither be found nor fetched.
    """

    dimensions = 2048

    def __init__(self, name: str = INCEPTION) -> None:
        from histoxplain.metrics.inception_weights import fetch_weights

        super().__init__()
        check_one_of("name", name, RESIZES)
        self.name = name
        self._resized, self.resize = RESIZES[name]
        self.network = load_network(fetch_weights())

    def forward(self, x: Tensor) -> Tensor:
        """Features `(N, 2048)` of images `(N, 1 or 3, H, W)` in `[-1, 1]`, of any size; not differentiable."""
        check_images("x", x)
        check_one_of("channels", x.shape[1], (1, 3))
        pixels = self._resized(to_uint8(x).float(), SIDE)
        return self.network(((pixels - 128) / 128).expand(-1, 3, -1, -1))


def load_network(path: str | Path) -> nn.Module:
    """The network in a file: images `(N, 3, 299, 299)` in [-1, 1) to pooled features `(N, 2048)`.

    Nothing in the file runs. The layers and their names are those of torchvision's `inception_v3`; what pools otherwise
    is replaced.

    Raises:
        InputError: if the file does not hold exactly these layers.
    """
    network = torchvision().models.inception_v3(
        weights=None, num_classes=CLASSES, aux_logits=False, transform_input=False, init_weights=False
    )
    state = torch.load(path, map_location="cpu", weights_only=True)
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    check(not missing and not unexpected, "path", "hold InceptionV3 of FID", [*missing, *unexpected][:3])
    for name in AVERAGED:
        average = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        setattr(network, name, Repooled(getattr(network, name), average))
    setattr(network, LARGEST, Repooled(getattr(network, LARGEST), nn.MaxPool2d(3, stride=1, padding=1)))
    network.fc = nn.Identity()
    return network.eval().requires_grad_(False)


class Repooled(nn.Module):
    """An Inception block with another pooling in its last branch.

    Args:
        block: of torchvision: its `_forward` gives one tensor a branch, the pooled one last.
        pool: that keeps height and width.
    """

    def __init__(self, block: nn.Module, pool: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        *branches, _ = self.block._forward(x)
        return torch.cat([*branches, self.block.branch_pool(self.pool(x))], dim=1)
