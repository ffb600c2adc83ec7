"""Triton kernel of a 3 x 3 convolution of all members; those of its gradient are `gradients`.

Images are (members, batch, height, width, channels), weights (members, 9, C, K) of compute dtype;
the second axis of a grid is the member. With tap t = 3 di + dj, stride S and padding 1,

    y[p, k]     = Σ_{t, c} u[S i + di - 1, S j + dj - 1, c] w[t, c, k]           p = (n, i, j)
    dw[t, c, k] = Σ_p      u[S i + di - 1, S j + dj - 1, c] dy[p, k]
    du[q, c]    = Σ_{t, k} dy[(ii + 1 - di) / S, (jj + 1 - dj) / S, k] w[t, c, k]  q = (n, ii, jj)

where u is 0 outside of the image and a quotient that is no integer gives no term. Each is
2 · 9 · C · K FLOPs for a pixel of y, of which u and y are C + K numbers: with 16 channels in
bfloat16 72 FLOPs for a byte, so memory is the limit. All beside the sums is done on the way:

    u  = relu(scale x + shift)            batch norm of the layer before, z = scale y + shift
    dy = slope dz + tilt y + level        its gradient (`norms.batch_norm_backward`)
    dz = du where z > 0                   the gradient of ReLU

and the sums over y and dz that batch norm needs leave as one row for each block of pixels, which
`norms` adds up in a fixed order: there are no atomics, and digits are the same in every run.

`norm` is (members, 4, channels): scale, shift, mean, 1 / standard deviation; that and sums are
float32. SHAPE is (H, W, C, K, S): height, width and channels of x, channels and stride of y. TILE
is (BP, BC, BK): pixels, channels of x and channels of y in a block. Neighbouring programs share
pixels, then rows of an image, then weights, which the L2 cache keeps.
"""

import triton
import triton.language as tl


@triton.jit
def row(table, member, index, columns, ROWS: tl.constexpr, C: tl.constexpr):
    """Columns of a row of (members, ROWS, C)."""
    return tl.load(table + (member * ROWS + index) * C + columns, mask=columns < C, other=0.0)


@triton.jit
def activation(x, valid, norm, member, c, C: tl.constexpr):
    """relu(scale x + shift) in x's dtype, 0 where x lies outside of the image."""
    scale, shift = row(norm, member, 0, c, 4, C), row(norm, member, 1, c, 4, C)
    z = x.to(tl.float32) * scale[None, :] + shift[None, :]
    return tl.where(valid & ~(z <= 0.0), z, 0.0).to(x.dtype)  # NaN stays NaN, as in torch


@triton.jit
def conv_forward(
    x,
    norm,
    w,
    y,
    moments,
    batch,
    SHAPE: tl.constexpr,
    TILE: tl.constexpr,
    NORMED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The sum y and, of each block of pixels, the sum of y and of squares about the block's mean.

    NORMED: u = relu(scale x + shift), otherwise u = x. Moments (members, blocks, 2, K) are of y as
    it is stored. Grid (blocks · channel blocks, members).
    """
    H, W, C, K, S = SHAPE
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    BP: tl.constexpr = TILE[0]
    BC: tl.constexpr = TILE[1]
    BK: tl.constexpr = TILE[2]
    CS: tl.constexpr = (C + BC - 1) // BC
    KS: tl.constexpr = (K + BK - 1) // BK
    block, member = tl.program_id(0) // KS, tl.program_id(1).to(tl.int64)
    p = block * BP + tl.arange(0, BP)
    k = tl.program_id(0) % KS * BK + tl.arange(0, BK)
    n, i, j = p // (OH * OW), p // OW % OH, p % OW
    pixels = batch * OH * OW
    x += member * batch * H * W * C
    w += member * 9 * C * K
    acc = tl.zeros((BP, BK), tl.float32)
    for step in range(9 * CS):
        tap = step // CS
        c = step % CS * BC + tl.arange(0, BC)
        ii, jj = S * i + tap // 3 - 1, S * j + tap % 3 - 1
        inside = (p < pixels) & (ii >= 0) & (ii < H) & (jj >= 0) & (jj < W)
        valid = inside[:, None] & (c < C)[None, :]
        u = tl.load(x + ((n * H + ii) * W + jj)[:, None] * C + c[None, :], mask=valid, other=0.0)
        if NORMED:
            u = activation(u, valid, norm, member, c, C)
        here = (c < C)[:, None] & (k < K)[None, :]
        tile = tl.load(w + (tap * C + c)[:, None] * K + k[None, :], mask=here, other=0.0)
        acc = tl.dot(u, tile, acc, input_precision=PRECISION)
    valid = (p < pixels)[:, None] & (k < K)[None, :]
    stored = acc.to(y.dtype.element_ty)
    tl.store(y + member * pixels * K + p[:, None] * K + k[None, :], stored, mask=valid)
    value = tl.where(valid, stored.to(tl.float32), 0.0)
    total = tl.sum(value, 0)
    mean = total / tl.minimum(pixels - block * BP, BP)
    spread = tl.where(valid, value - mean[None, :], 0.0)
    moments += (member * (tl.num_programs(0) // KS) + block) * 2 * K + k
    tl.store(moments, total, mask=k < K)
    tl.store(moments + K, tl.sum(spread * spread, 0), mask=k < K)
