"""Kernels of `convolutions` and `norms` as functions of tensors, with their grids and block sizes.

Images are contiguous (members, batch, height, width, channels) of the compute dtype: float32,
float16 or bfloat16. Everything of batch norm is float32.
"""

from typing import NamedTuple

import torch
import triton
from jaxtyping import Float
from torch import Tensor, nn

from bvalign.ensemble.triton_conv import convolution, gradients, norms

PIXELS = {torch.float32: 64, torch.float16: 128, torch.bfloat16: 128}
"""Pixels in a block of a forward pass or of dgrad."""
STEPS = {torch.float32: 16, torch.float16: 64, torch.bfloat16: 64}
"""Pixels that wgrad adds at once."""
PARTS = 2048
"""Pixels whose share of a weight's gradient is one sum: few sums to add, many programs."""
ROWS = 64
"""Rows of block sums that `norms` adds at once."""

OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}
"""Of the compiler; multiplications and additions are fused, which Triton 3.10 asks about."""


class Conv(NamedTuple):
    """A convolution of u, and the batch norm after it, as one training step leaves them."""

    x: Float[Tensor, "members batch height width channels"]
    x_norm: Float[Tensor, "members 4 channels"] | None  # u = relu(scale x + shift); None: u = x
    weight: Float[Tensor, "members 9 channels out"]
    y: Float[Tensor, "members batch out_height out_width out"]
    norm: Float[Tensor, "members 4 out"]  # scale, shift, mean, 1 / standard deviation of y


def tile(channels: int) -> int:
    """Channels in a block: a power of two that `tl.dot` takes."""
    return min(64, max(16, triton.next_power_of_2(channels)))


def pack_weight(
    weight: Float[Tensor, "members out in 3 3"], channels: int, dtype: torch.dtype
) -> Float[Tensor, "members 9 {channels} out"]:
    """The weight as kernels read it; input channels are padded with zeros."""
    members, out, inner = weight.shape[:3]
    packed = weight.new_zeros(members, 9, channels, out, dtype=dtype)
    packed[:, :, :inner].copy_(weight.flatten(3).permute(0, 3, 2, 1))
    return packed


def conv_forward(
    x: Float[Tensor, "members batch height width channels"],
    x_norm: Float[Tensor, "members 4 channels"] | None,
    conv: nn.Conv2d,
    norm: nn.BatchNorm2d,
    precision: str,
) -> Conv:
    """The convolution, and batch norm's coefficients and running statistics after it."""
    members, batch, height, width, channels = x.shape
    out, stride = conv.weight.shape[1], conv.stride[0]
    weight = pack_weight(conv.weight, channels, x.dtype)
    size = (height - 1) // stride + 1, (width - 1) // stride + 1
    y = x.new_empty(members, batch, *size, out)
    pixels, block = batch * size[0] * size[1], PIXELS[x.dtype]
    blocks = triton.cdiv(pixels, block)
    moments = x.new_empty(members, blocks, 2, out, dtype=torch.float32)
    convolution.conv_forward[blocks * triton.cdiv(out, tile(out)), members](
        *(x, x_norm, weight, y, moments, batch),
        SHAPE=(height, width, channels, out, stride),
        TILE=(block, tile(channels), tile(out)),
        NORMED=x_norm is not None,
        PRECISION=precision,
        **OPTIONS,
    )
    coefficients = x.new_empty(members, 4, out, dtype=torch.float32)
    norms.batch_norm[triton.cdiv(out, tile(out)), members](
        *(moments, norm.weight, norm.bias, norm.running_mean, norm.running_var, coefficients),
        *(pixels, blocks, norm.momentum, norm.eps),
        K=out,
        BP=block,
        BB=ROWS,
        BK=tile(out),
        **OPTIONS,
    )
    return Conv(x, x_norm, weight, y, coefficients)


def block_sum(
    conv: Conv, x: Float[Tensor, "members batch height width channels"] | None, stride: int = 1
) -> Float[Tensor, "members batch out_height out_width out"]:
    """relu(batch norm of y + shortcut of x), or without a shortcut where x is None."""
    members, batch, *size, out = conv.y.shape
    result = torch.empty_like(conv.y)
    height, width, channels = (*size, out) if x is None else x.shape[2:]
    block, columns = 128, tile(out)
    blocks = triton.cdiv(batch * size[0] * size[1], block)
    norms.block_sum[blocks * triton.cdiv(out, columns), members](
        *(conv.y, conv.norm, x, result, batch),
        SHAPE=(height, width, channels, out, stride),
        BP=block,
        BK=columns,
        SHORTCUT=x is not None,
        **OPTIONS,
    )
    return result


class ConvGradients(NamedTuple):
    """Gradients of a convolution's weight and of the batch norm after it, and that of y."""

    weight: Float[Tensor, "members out in 3 3"]
    gamma: Float[Tensor, "members out"]
    beta: Float[Tensor, "members out"]
    y: Float[Tensor, "members batch out_height out_width out"] | None


def conv_wgrad(
    conv: Conv,
    dz: Float[Tensor, "members batch out_height out_width out"],
    sums: Float[Tensor, "members blocks 2 out"],
    stride: int,
    precision: str,
    *,
    stored: bool = True,
) -> ConvGradients:
    """Through batch norm and to the weight.

    Args:
        conv: of the forward pass.
        dz: gradient of batch norm's output.
        sums: of dz and dz ŷ over blocks of pixels.
        stride: of the convolution.
        precision: of float32 products.
        stored: return the gradient of y too.
    """
    members, batch, height, width, channels = conv.x.shape
    out, pixels = conv.y.shape[-1], conv.y[0, ..., 0].numel()
    slopes = sums.new_empty(members, 3, out)
    gamma, beta = sums.new_empty(members, out), sums.new_empty(members, out)
    norms.batch_norm_backward[triton.cdiv(out, tile(out)), members](
        *(sums, conv.norm, slopes, gamma, beta, pixels, sums.shape[1]),
        K=out,
        BB=ROWS,
        BK=tile(out),
        **OPTIONS,
    )
    parts = triton.cdiv(pixels, PARTS)
    weight = sums.new_empty(members, parts, 9, channels, out)
    dy = torch.empty_like(dz) if stored else None
    tiles = triton.cdiv(channels, tile(channels)) * triton.cdiv(out, tile(out))
    gradients.conv_wgrad[parts * tiles * 3, members](
        *(conv.x, conv.x_norm, dz, conv.y, slopes, dy, weight, batch),
        SHAPE=(height, width, channels, out, stride),
        PIXELS=PARTS,
        TILE=(STEPS[dz.dtype], tile(channels), tile(out)),
        NORMED=conv.x_norm is not None,
        STORED=stored,
        PRECISION=precision,
        **OPTIONS | {"num_warps": 8 if tile(channels) == 64 else 4, "num_stages": 2},
    )
    weight = weight.sum(dim=1).unflatten(1, (3, 3)).permute(0, 4, 3, 1, 2)
    return ConvGradients(weight, gamma, beta, dy)


def conv_dgrad(
    conv: Conv,
    dy: Float[Tensor, "members batch out_height out_width out"],
    before: Conv,
    shortcut: Float[Tensor, "members batch out_height out_width out"] | None,
    stride: int,
    precision: str,
) -> tuple[
    Float[Tensor, "members batch height width channels"], Float[Tensor, "members blocks 2 channels"]
]:
    """Through the convolution and the ReLU before it: `dz` and `sums` of the batch norm before.

    Args:
        conv: of the forward pass.
        dy: gradient of its y.
        before: the convolution whose batch norm comes before this one.
        shortcut: gradient of the sum of the block that starts with this convolution, else None.
        stride: of the convolution.
        precision: of float32 products.
    """
    members, batch, height, width, channels = conv.x.shape
    out, block = dy.shape[-1], PIXELS[dy.dtype]
    blocks, classes = triton.cdiv(dy[0, ..., 0].numel(), block), stride * stride
    dz = torch.empty_like(conv.x)
    sums = before.norm.new_empty(members, blocks * classes, 2, channels)
    gradients.conv_dgrad[blocks * triton.cdiv(channels, tile(channels)), members, classes](
        *(dy, conv.weight, before.y, before.norm, conv.x, shortcut, dz, sums, batch),
        SHAPE=(height, width, channels, out, stride),
        TILE=(block, tile(channels), tile(out)),
        BLOCK_INPUT=shortcut is not None,
        PRECISION=precision,
        **OPTIONS,
    )
    return dz, sums
