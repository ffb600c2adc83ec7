"""A network for short schedules: a whitened first layer and three wide blocks.

After Jordan (2024, arXiv:2404.00498), whose networks reach 94% on CIFAR-10 in ten epochs. The first
convolution maps patches x of 2 x 2 pixels to W x and -W x, with W = diag(λ + ε)^(-1/2) Vᵀ from the
eigenvalues λ and eigenvectors V of the second moments of x over the first training images. It is
the same for all members and stays fixed; its bias is learned. The other convolutions begin with as
many filters that pass a channel on as they have input channels, and batch norm learns no scale.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bvalign.ensemble.classifier import Classifier

PATCH = 2
"""Height and width of the whitened patches in pixels."""
EPSILON = 5e-4
"""Added to every eigenvalue, so that patches' rarest components are not blown up."""


class WhitenedCNN(Classifier):
    """A whitened 2 x 2 convolution, and a block for each of `widths`, the channels in it.

    A block is convolution, pooling, batch norm, GELU, convolution, batch norm, GELU; it pools where
    images are larger than one pixel. The greatest value of each channel, over nine, is a feature.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 32,
        widths: Sequence[int] = (64, 256, 256),
    ) -> None:
        super().__init__()
        channels = 2 * in_chans * PATCH**2
        self.whiten = nn.Conv2d(in_chans, channels, PATCH)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)
        size = (img_size if isinstance(img_size, int) else min(img_size)) - PATCH + 1
        layers: list[nn.Module] = []
        for width in widths:
            pool = [nn.MaxPool2d(2)] if size > 1 else []
            layers += [_identity(channels, width), *pool, _norm(width), nn.GELU()]
            layers += [_identity(width, width), _norm(width), nn.GELU()]
            channels, size = width, size // (1 + len(pool))
        self.body = nn.Sequential(nn.GELU(), *layers)
        self.num_features = channels
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the last layer, which has no bias."""
        super().reset_classifier(num_classes)
        if num_classes:
            self.fc = nn.Linear(self.num_features, num_classes, bias=False)

    def forward_features(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        maps = self.body(self.whiten(input))
        return functional.max_pool2d(maps, maps.shape[-2:]).flatten(1) / 9

    def weights_of_data(
        self, input: Float[Tensor, "samples channels height width"]
    ) -> dict[str, Tensor]:
        """The filters that whiten `input`, under their name in the network."""
        return {"whiten.weight": whitening_filters(input)}


def whitening_filters(
    input: Float[Tensor, "samples channels height width"],
) -> Float[Tensor, "filters channels 2 2"]:
    """Filters that make patches uncorrelated, of the largest variance first, and their negatives.

    Computed in float64 on the CPU; an eigenvector's largest component is positive, so that
    machines agree.
    """
    samples, channels, height, width = input.shape
    size = channels * PATCH**2
    moments = torch.zeros(size, size, dtype=torch.float64, device="cpu")
    for part in input.cpu().double().split(500):
        patches = functional.unfold(part, PATCH).transpose(0, 1).flatten(1)
        moments += patches @ patches.mT
    moments /= samples * (height - PATCH + 1) * (width - PATCH + 1)
    values, vectors = torch.linalg.eigh(moments)
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    scaled = vectors * largest.sign() / (values + EPSILON).sqrt()
    filters = scaled.mT.flip(0).unflatten(1, (channels, PATCH, PATCH))
    return torch.cat([filters, -filters])


def _identity(in_channels: int, channels: int) -> nn.Conv2d:
    """A convolution whose first filters pass on one input channel each."""
    conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.detach()[:in_channels])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with a learned bias only, whose statistics follow a short training."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
