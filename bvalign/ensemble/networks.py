"""Small networks under plain names, beside those of timm.

`mlp`, `cnn`, `transformer` (of texts), `whitened_cnn` (for short schedules) and the CIFAR ResNets
of He et al. (2016, section 4.2): `resnet8_cifar`, 14, 20, 32, 44, 56 and 110, that is 6n + 2 layers
in three stages, identity shortcuts without parameters. timm is imported for other names only: it
takes a second.
"""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bvalign.ensemble.classifier import Classifier
from bvalign.ensemble.transformer import Transformer
from bvalign.ensemble.whitened import WhitenedCNN

RESNET_DEPTHS = (8, 14, 20, 32, 44, 56, 110)


class MLP(Classifier):
    """Fully connected: `depth` hidden layers of `width` ReLU units; depth 0 is a linear model."""

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        img_size: int | tuple[int, int] = 8,
        width: int = 128,
        depth: int = 2,
    ) -> None:
        super().__init__()
        height, side = (img_size, img_size) if isinstance(img_size, int) else img_size
        sizes = [in_chans * height * side] + [width] * depth
        layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.hidden = nn.Sequential(nn.Flatten(), *layers)
        self.num_features = sizes[-1]
        self.reset_classifier(num_classes)

    def forward_features(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "*members batch features"]:
        return self.hidden(input)


class Halves(nn.Module):
    """Averages over 2 x 2 regions, which share the middle row or column of an odd size.

    They are those of AdaptiveAvgPool2d(2), whose backward pass CUDA has in no fixed order only.
    """

    def forward(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels 2 2"]:
        size = [max(2, side) for side in input.shape[-2:]]
        input = input.expand(*input.shape[:-2], *size)  # a single row is in both halves
        kernel, stride = [(side + 1) // 2 for side in size], [side // 2 for side in size]
        return nn.functional.avg_pool2d(input, kernel, stride)


class CNN(Classifier):
    """Three 3 x 3 convolutions with batch norm, of width, 2 width and 2 width channels.

    The second halves the resolution, and so does the third where an image is larger than 16 x 16;
    an average over 2 x 2 regions feeds the linear layer.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        img_size: int | tuple[int, int] = 8,
        width: int = 16,
    ) -> None:
        super().__init__()
        large = (img_size if isinstance(img_size, int) else max(img_size)) > 16
        self.body = nn.Sequential(
            *_conv_norm(in_chans, width, 1),
            nn.ReLU(),
            *_conv_norm(width, 2 * width, 2),
            nn.ReLU(),
            *_conv_norm(2 * width, 2 * width, 2 if large else 1),
            nn.ReLU(),
            Halves(),
            nn.Flatten(),
        )
        self.num_features = 8 * width
        self.reset_classifier(num_classes)

    def forward_features(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        return self.body(input)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and an identity shortcut (option A: subsample, pad with zeros)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_norm(in_channels, channels, stride)
        self.conv2, self.bn2 = _conv_norm(channels, channels, 1)
        self.stride, self.in_channels, self.extra = stride, in_channels, channels - in_channels

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch channels out_height out_width"]:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            before = self.extra // 2
            x = x[:, :, :: self.stride, :: self.stride]
            x = x.unflatten(1, (-1, self.in_channels))  # a packed image holds those of each member
            x = nn.functional.pad(x, (0, 0, 0, 0, before, self.extra - before)).flatten(1, 2)
        return torch.relu(out + x)


class CifarResNet(Classifier):
    """ResNet of 6 `blocks` + 2 layers for small images; `width`, 2 and 4 `width` channels."""

    def __init__(
        self,
        blocks: int,
        num_classes: int = 10,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 32,
        width: int = 16,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_norm(in_chans, width, 1)
        layers, channels = [], width
        for stage in range(3):
            for block in range(blocks):
                out_channels = width * 2**stage
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(channels, out_channels, stride))
                channels = out_channels
        self.blocks = nn.Sequential(*layers)
        self.num_features = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.reset_classifier(num_classes)

    def forward_features(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        return self.blocks(torch.relu(self.bn1(self.conv1(input)))).mean(dim=(2, 3))


def create(
    arch: str, num_classes: int, image_shape: tuple[int, int, int], **kwargs: object
) -> nn.Module:
    """A fresh network for inputs of `image_shape` = (channels, height, width).

    Args:
        arch: one of `OWN`, any name that timm knows, or the dotted path of your own callable,
            which takes `num_classes` and `in_chans`.
        num_classes: outputs.
        image_shape: of one input.
        **kwargs: passed to the network, such as width.

    Raises:
        ValueError: no such network, or it does not take one of the arguments.
    """
    channels, height, side = image_shape
    if arch in OWN:
        network, kwargs = OWN[arch], {"img_size": (height, side), **kwargs}
    else:
        network = _foreign(arch)
    try:
        return network(num_classes=num_classes, in_chans=channels, **kwargs)
    except TypeError as error:
        raise ValueError(
            f"model.arch: '{arch}' does not accept an argument: {error}; it needs num_classes and "
            "in_chans, and all of --model.arch_args"
        ) from error


def _foreign(arch: str) -> Callable[..., nn.Module]:
    """Finds a network by a name of timm's or by a dotted path."""
    import timm

    if timm.is_model(arch):
        name, _, tag = arch.partition(".")
        tagged = timm.list_pretrained(f"{name}.*") if tag else [arch]
        if arch not in tagged:
            raise ValueError(
                f"model.arch: '{name}' has no weights '{tag}', only {', '.join(tagged)}; leave out "
                f"'.{tag}': members start from random weights"
            )
        return partial(timm.create_model, arch)
    module, _, name = arch.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        names = timm.list_models()
        similar = timm.list_models(f"*{arch}*")[:5] or get_close_matches(arch, names, 5)
        similar = (
            f"timm's similar names are {', '.join(similar)}"
            if similar
            else "timm.list_models() has more"
        )
        raise ValueError(
            f"model.arch: no network '{arch}'; ours are {', '.join(OWN)}; {similar}"
        ) from error


def _conv_norm(in_channels: int, channels: int, stride: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
    return conv, nn.BatchNorm2d(channels)


OWN: dict[str, Callable[..., nn.Module]] = {
    "mlp": MLP,
    "cnn": CNN,
    "transformer": Transformer,
    "whitened_cnn": WhitenedCNN,
    **{f"resnet{depth}_cifar": partial(CifarResNet, (depth - 2) // 6) for depth in RESNET_DEPTHS},
}
"""Our networks by name."""
