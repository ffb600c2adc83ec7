"""A training step of CIFAR ResNets of all members: the features of a batch, with their gradient.

The network is a convolution and blocks of two; each convolution is followed by batch norm, whose
output is never written: the next kernel reads y and norms it. Only sums of blocks are stored.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bvalign.ensemble.networks import CifarResNet
from bvalign.ensemble.triton_conv.launches import (
    Conv,
    ConvGradients,
    block_sum,
    conv_dgrad,
    conv_forward,
    conv_wgrad,
)

Layer = tuple[nn.Conv2d, nn.BatchNorm2d]


class Arithmetic(NamedTuple):
    """How numbers are multiplied."""

    dtype: torch.dtype  # of activations and of factors: float32, float16 or bfloat16
    precision: str  # of float32 factors: ieee or tf32


def layers_of(network: CifarResNet) -> list[Layer]:
    """Convolutions with their batch norms, in order."""
    pairs = [[(block.conv1, block.bn1), (block.conv2, block.bn2)] for block in network.blocks]
    return [(network.conv1, network.bn1), *chain.from_iterable(pairs)]


def features(
    network: CifarResNet,
    images: Float[Tensor, "members batch channels height width"],
    how: Arithmetic,
) -> Float[Tensor, "members batch features"]:
    """Features of a stacked network in training; running statistics are updated."""
    layers = layers_of(network)
    torch._foreach_add_([norm.num_batches_tracked for _, norm in layers], 1)
    tensors = [t for conv, norm in layers for t in (conv.weight, norm.weight, norm.bias)]
    return Features.apply(images, layers, how, *tensors)


class Features(torch.autograd.Function):
    """Mean over positions of the last block's sum, (members, batch, features) in float32."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, layers: Sequence[Layer], how: Arithmetic, *tensors: Tensor
    ) -> Tensor:
        stem = conv_forward(_channels_last(images, how.dtype), None, *layers[0], how.precision)
        x, tape = block_sum(stem, None), [stem]
        for first, second in zip(layers[1::2], layers[2::2], strict=True):
            tape.append(conv_forward(x, None, *first, how.precision))
            between = tape[-1]
            tape.append(conv_forward(between.y, between.norm, *second, how.precision))
            x = block_sum(tape[-1], x, first[0].stride[0])
        ctx.strides, ctx.how = [conv.stride[0] for conv, _ in layers], how
        ctx.in_channels = images.shape[2]
        ctx.save_for_backward(x, *chain.from_iterable(tape))
        return x.mean(dim=(2, 3), dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        size = len(Conv._fields)
        tape = [Conv(*saved[at : at + size]) for at in range(0, len(saved), size)]
        strides, precision = ctx.strides, ctx.how.precision
        dz, sums = _pool_backward(gradient, x, tape[-1])
        found: list[ConvGradients] = []
        for at in range(len(tape) - 2, 0, -2):  # the first convolution of each block, from the last
            before, first, second = tape[at - 1 : at + 2]
            found.append(conv_wgrad(second, dz, sums, 1, precision))
            between = conv_dgrad(second, found[-1].y, first, None, 1, precision)
            found.append(conv_wgrad(first, *between, strides[at], precision))
            dz, sums = conv_dgrad(first, found[-1].y, before, dz, strides[at], precision)
        stem = conv_wgrad(tape[0], dz, sums, 1, precision, stored=False)
        found.append(stem._replace(weight=stem.weight[:, :, : ctx.in_channels]))
        gradients = chain.from_iterable(layer[:3] for layer in reversed(found))
        return None, None, None, *gradients


def _channels_last(
    images: Float[Tensor, "members batch channels height width"], dtype: torch.dtype
) -> Float[Tensor, "members batch height width padded"]:
    """Images of `dtype`, channels last and padded to loads of 16 bytes."""
    members, batch, channels, height, width = images.shape
    padded = images.new_zeros(members, batch, height, width, -(-channels // 8) * 8, dtype=dtype)
    padded[..., :channels].copy_(images.permute(0, 1, 3, 4, 2))
    return padded


def _pool_backward(
    gradient: Float[Tensor, "members batch features"],
    x: Float[Tensor, "members batch height width features"],
    last: Conv,
) -> tuple[
    Float[Tensor, "members batch height width features"], Float[Tensor, "members 1 2 features"]
]:
    """`dz` and `sums` of the last batch norm, as `conv_dgrad` gives them."""
    share = gradient[:, :, None, None] / (x.shape[2] * x.shape[3])
    dz = torch.where(x <= 0, 0.0, share).to(x.dtype)
    mean, inverse = (last.norm[:, row, None, None, None] for row in (2, 3))
    normalised = (last.y.float() - mean) * inverse
    return dz, torch.stack([dz.float().sum((1, 2, 3)), (dz * normalised).sum((1, 2, 3))], 1)[
        :, None
    ]
