"""Triton kernels of what lies between convolutions: batch norm's coefficients, sums of blocks.

Batch norm of y over the P pixels of a member's batch, as the next kernel computes it:

    z  = scale y + shift     scale = γ / σ, shift = β - scale · mean, σ² = Σ (y - mean)² / P + ε
    dy = slope dz + tilt y + level
       = scale (dz - Σ dz / P - ŷ Σ (dz ŷ) / P)       ŷ = (y - mean) / σ, dβ = Σ dz, dγ = Σ dz ŷ

Sums over blocks of pixels arrive as rows and are added here in a fixed order.
"""

import triton
import triton.language as tl


@triton.jit
def batch_norm(
    moments,
    gamma,
    beta,
    running_mean,
    running_var,
    norm,
    pixels,
    blocks,
    momentum,
    eps,
    K: tl.constexpr,
    BP: tl.constexpr,
    BB: tl.constexpr,
    BK: tl.constexpr,
):
    """`norm` from the moments of blocks of BP pixels, and running statistics in place.

    Σ (y - mean)² = Σ_b (squares about the block's mean + size_b (mean_b - mean)²), which does not
    cancel. The biased variance normalises, the running variance is the unbiased one, as in torch.
    Grid (channel blocks, members).
    """
    member = tl.program_id(1).to(tl.int64)
    k = tl.program_id(0) * BK + tl.arange(0, BK)
    moments += member * blocks * 2 * K
    total = tl.zeros((BK,), tl.float32)
    for start in range(0, blocks, BB):
        b = start + tl.arange(0, BB)
        here = (b < blocks)[:, None] & (k < K)[None, :]
        at = b[:, None] * 2 * K + k[None, :]
        total += tl.sum(tl.load(moments + at, mask=here, other=0.0), 0)
    mean = total / pixels
    squares = tl.zeros((BK,), tl.float32)
    for start in range(0, blocks, BB):
        b = start + tl.arange(0, BB)
        here = (b < blocks)[:, None] & (k < K)[None, :]
        at = b[:, None] * 2 * K + k[None, :]
        size = tl.maximum(tl.minimum(pixels - b * BP, BP), 1).to(tl.float32)[:, None]
        shift = tl.load(moments + at, mask=here, other=0.0) / size - mean[None, :]
        within = tl.load(moments + at + K, mask=here, other=0.0)
        squares += tl.sum(tl.where(here, within + size * shift * shift, 0.0), 0)
    inverse = 1.0 / tl.sqrt(squares / pixels + eps)
    at, here = member * K + k, k < K
    scale = tl.load(gamma + at, mask=here) * inverse
    shift = tl.load(beta + at, mask=here) - scale * mean
    norm += member * 4 * K + k
    tl.store(norm, scale, mask=here)
    tl.store(norm + K, shift, mask=here)
    tl.store(norm + 2 * K, mean, mask=here)
    tl.store(norm + 3 * K, inverse, mask=here)
    old = tl.load(running_mean + at, mask=here)
    tl.store(running_mean + at, old + momentum * (mean - old), mask=here)
    old = tl.load(running_var + at, mask=here)
    tl.store(running_var + at, old + momentum * (squares / (pixels - 1) - old), mask=here)


@triton.jit
def batch_norm_backward(
    sums,
    norm,
    slopes,
    dgamma,
    dbeta,
    pixels,
    blocks,
    K: tl.constexpr,
    BB: tl.constexpr,
    BK: tl.constexpr,
):
    """dγ, dβ and `slopes` (members, 3, K): slope, tilt, level. Grid (channel blocks, members)."""
    member = tl.program_id(1).to(tl.int64)
    k = tl.program_id(0) * BK + tl.arange(0, BK)
    sums += member * blocks * 2 * K
    total, product = tl.zeros((BK,), tl.float32), tl.zeros((BK,), tl.float32)
    for start in range(0, blocks, BB):
        b = start + tl.arange(0, BB)
        here = (b < blocks)[:, None] & (k < K)[None, :]
        at = b[:, None] * 2 * K + k[None, :]
        total += tl.sum(tl.load(sums + at, mask=here, other=0.0), 0)
        product += tl.sum(tl.load(sums + at + K, mask=here, other=0.0), 0)
    here = k < K
    norm += member * 4 * K + k
    scale, mean = tl.load(norm, mask=here), tl.load(norm + 2 * K, mask=here)
    inverse = tl.load(norm + 3 * K, mask=here)
    tilt = -scale * inverse * product / pixels
    slopes += member * 3 * K + k
    tl.store(slopes, scale, mask=here)
    tl.store(slopes + K, tilt, mask=here)
    tl.store(slopes + 2 * K, -scale * total / pixels - tilt * mean, mask=here)
    tl.store(dgamma + member * K + k, product, mask=here)
    tl.store(dbeta + member * K + k, total, mask=here)


@triton.jit
def block_sum(
    y,
    norm,
    x,
    out,
    batch,
    SHAPE: tl.constexpr,
    BP: tl.constexpr,
    BK: tl.constexpr,
    SHORTCUT: tl.constexpr,
):
    """relu(scale y + shift + shortcut of x), where x (.., H, W, C) is subsampled and zero-padded.

    Without SHORTCUT, x is not read. (K - C) // 2 of the new channels come first, the others last.
    Grid (blocks of BP pixels of y · channel blocks, members).
    """
    H, W, C, K, S = SHAPE
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    KS: tl.constexpr = (K + BK - 1) // BK
    member = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0) // KS * BP + tl.arange(0, BP)
    k = tl.program_id(0) % KS * BK + tl.arange(0, BK)
    n, i, j = p // (OH * OW), p // OW % OH, p % OW
    valid = (n < batch)[:, None] & (k < K)[None, :]
    at = member * batch * OH * OW * K + p[:, None] * K + k[None, :]
    scale = tl.load(norm + member * 4 * K + k, mask=k < K, other=0.0)
    shift = tl.load(norm + member * 4 * K + K + k, mask=k < K, other=0.0)
    z = tl.load(y + at, mask=valid, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    if SHORTCUT:
        c = k - (K - C) // 2
        pixel = ((member * batch + n) * H + S * i) * W + S * j
        here = valid & ((c >= 0) & (c < C))[None, :]
        z += tl.load(x + pixel[:, None] * C + c[None, :], mask=here, other=0.0).to(tl.float32)
    z = tl.where(z <= 0.0, 0.0, z)  # NaN stays NaN
    tl.store(out + at, z.to(out.dtype.element_ty), mask=valid)
