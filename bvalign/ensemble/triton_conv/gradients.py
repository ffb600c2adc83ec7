"""Triton kernels of the gradient of a 3 x 3 convolution of all members; see `convolution`."""

import triton
import triton.language as tl

from bvalign.ensemble.triton_conv.convolution import activation, row


@triton.jit
def _patches(x, norm, member, p, batch, di, dj, c, SHAPE: tl.constexpr, NORMED: tl.constexpr):
    """Tile of u, pixels p of y by columns (dj, c), of row di of the kernel; dj = 3 is empty."""
    H, W, C, _, S = SHAPE
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    n, i, j = p // (OH * OW), p // OW % OH, p % OW
    ii, jj = S * i + di - 1, (S * j)[:, None] + dj[None, :] - 1
    valid = ((n < batch) & (ii >= 0) & (ii < H))[:, None] & (jj >= 0) & (jj < W)
    valid &= (dj < 3)[None, :] & (c < C)[None, :]
    at = (((n * H + ii) * W)[:, None] + jj) * C + c[None, :]
    u = tl.load(x + member * batch * H * W * C + at, mask=valid, other=0.0)
    if NORMED:
        u = activation(u, valid, norm, member, c, C)
    return u


@triton.jit
def _gradient_of_y(dz, y, slopes, member, at, here, k, K: tl.constexpr):
    """The sum slope dz + tilt y + level, float32, and 0 where there is no pixel."""
    slope, tilt = row(slopes, member, 0, k, 3, K), row(slopes, member, 1, k, 3, K)
    gradient = tl.load(dz + at, mask=here, other=0.0).to(tl.float32) * slope[None, :]
    gradient += tl.load(y + at, mask=here, other=0.0).to(tl.float32) * tilt[None, :]
    return tl.where(here, gradient + row(slopes, member, 2, k, 3, K)[None, :], 0.0)


@triton.jit
def conv_wgrad(
    x,
    norm,
    dz,
    y,
    slopes,
    dy,
    dw,
    batch,
    SHAPE: tl.constexpr,
    PIXELS: tl.constexpr,
    TILE: tl.constexpr,
    NORMED: tl.constexpr,
    STORED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Of PIXELS pixels, dw (members, parts, 9, C, K), and dy where STORED, which dgrad reads.

    A program has one row di of the kernel: its tile of u is BP pixels by 4 · BC columns (dj, c), of
    which dj = 3 is empty, as blocks are powers of two. Grid (parts · channel blocks · 3, members).
    """
    H, W, C, K, S = SHAPE
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    BP: tl.constexpr = TILE[0]
    BC: tl.constexpr = TILE[1]
    BK: tl.constexpr = TILE[2]
    CS: tl.constexpr = (C + BC - 1) // BC
    KS: tl.constexpr = (K + BK - 1) // BK
    di, member = tl.program_id(0) % 3, tl.program_id(1).to(tl.int64)
    block = tl.program_id(0) // 3
    part, c_block, k_block = block // (CS * KS), block // KS % CS, block % KS
    column = tl.arange(0, 4 * BC)
    dj, c = column // BC, c_block * BC + column % BC
    k = k_block * BK + tl.arange(0, BK)
    pixels = batch * OH * OW
    acc = tl.zeros((4 * BC, BK), tl.float32)
    for start in range(part * PIXELS, tl.minimum((part + 1) * PIXELS, pixels), BP):
        p = start + tl.arange(0, BP)
        u = _patches(x, norm, member, p, batch, di, dj, c, SHAPE, NORMED)
        here = (p < pixels)[:, None] & (k < K)[None, :]
        at = member * pixels * K + p[:, None] * K + k[None, :]
        gradient = _gradient_of_y(dz, y, slopes, member, at, here, k, K).to(u.dtype)
        if STORED and di + c_block == 0:
            tl.store(dy + at, gradient, mask=here)
        acc = tl.dot(tl.trans(u), gradient, acc, input_precision=PRECISION)
    parts = tl.num_programs(0) // (3 * CS * KS)
    at = ((member * parts + part) * 9 + 3 * di + dj) * C + c
    here = ((dj < 3) & (c < C))[:, None] & (k < K)[None, :]
    tl.store(dw + at[:, None] * K + k[None, :], acc, mask=here)


@triton.jit
def _gradient_of_u(
    dy, w, batch, n, i, j, a, b, c, SHAPE: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr
):
    """Tile of du, pixels (n, S i + a, S j + b) by c, float32."""
    H, W, C, K, S = SHAPE
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    BK: tl.constexpr = TILE[2]
    KS: tl.constexpr = (K + BK - 1) // BK
    first_di, first_dj = (a + 1) % S, (b + 1) % S
    rows, columns = (2 - first_di) // S + 1, (2 - first_dj) // S + 1
    acc = tl.zeros((TILE[0], TILE[1]), tl.float32)
    for step in range(rows * columns * KS):
        di, dj = first_di + step // KS // columns * S, first_dj + step // KS % columns * S
        k = step % KS * BK + tl.arange(0, BK)
        oi, oj = i + (a + 1 - di) // S, j + (b + 1 - dj) // S
        inside = (n < batch) & (oi >= 0) & (oi < OH) & (oj >= 0) & (oj < OW)
        valid = inside[:, None] & (k < K)[None, :]
        at = ((n * OH + oi) * OW + oj)[:, None] * K + k[None, :]
        gradient = tl.load(dy + at, mask=valid, other=0.0)
        here = (c < C)[:, None] & (k < K)[None, :]
        at = ((3 * di + dj) * C + c)[:, None] * K + k[None, :]
        tile = tl.load(w + at, mask=here, other=0.0)
        acc = tl.dot(gradient, tl.trans(tile), acc, input_precision=PRECISION)
    return acc


@triton.jit
def conv_dgrad(
    dy,
    w,
    y,
    norm,
    u,
    shortcut,
    dz,
    sums,
    batch,
    SHAPE: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_INPUT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradient dz of the batch norm before this convolution, and the sums of dz and of dz ŷ.

    y, norm and ŷ = (y - mean) / standard deviation are of that batch norm, on the pixels of u.
    BLOCK_INPUT: u is the sum of a block, it is read to see where ReLU was open, and du gets the
    gradient `shortcut` (members, batch, out height, out width, K) of the next block's sum too;
    otherwise u = relu(scale y + shift).

    Pixels are taken in S · S classes, the third axis of the grid, by the remainders of (ii, jj):
    those of a class have the same taps, 9 in all for S = 2. Sums are (members, blocks · S · S, 2,
    C). Grid (blocks · channel blocks, members, S · S).
    """
    H, W, C, K, S = SHAPE
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    BP: tl.constexpr = TILE[0]
    BC: tl.constexpr = TILE[1]
    CS: tl.constexpr = (C + BC - 1) // BC
    block, member = tl.program_id(0) // CS, tl.program_id(1).to(tl.int64)
    a, b = tl.program_id(2) // S, tl.program_id(2) % S
    c = tl.program_id(0) % CS * BC + tl.arange(0, BC)
    q = block * BP + tl.arange(0, BP)
    n, i, j = q // (OH * OW), q // OW % OH, q % OW  # every class has at most as many as y
    ii, jj = S * i + a, S * j + b
    dy += member * batch * OH * OW * K
    w += member * 9 * C * K
    acc = _gradient_of_u(dy, w, batch, n, i, j, a, b, c, SHAPE, TILE, PRECISION)
    valid = ((n < batch) & (ii < H) & (jj < W))[:, None] & (c < C)[None, :]
    at = (((member * batch + n) * H + ii) * W + jj)[:, None] * C + c[None, :]
    before = tl.load(y + at, mask=valid, other=0.0).to(tl.float32)
    if BLOCK_INPUT:
        if a + b == 0:
            extra = ((member * batch + n) * OH + i) * OW + j
            extra = extra[:, None] * K + ((K - C) // 2 + c)[None, :]
            acc += tl.load(shortcut + extra, mask=valid, other=0.0).to(tl.float32)
        is_open = ~(tl.load(u + at, mask=valid, other=0.0) <= 0.0)
    else:
        scale, shift = row(norm, member, 0, c, 4, C), row(norm, member, 1, c, 4, C)
        is_open = ~(before * scale[None, :] + shift[None, :] <= 0.0)
    value = tl.where(valid & is_open, acc, 0.0).to(dz.dtype.element_ty)
    tl.store(dz + at, value, mask=valid)
    mean, inverse = row(norm, member, 2, c, 4, C), row(norm, member, 3, c, 4, C)
    normalised = (before - mean[None, :]) * inverse[None, :]
    blocks = tl.num_programs(0) // CS * S * S
    sums += (member * blocks + block * S * S + tl.program_id(2)) * 2 * C + c
    tl.store(sums, tl.sum(value.to(tl.float32), 0), mask=c < C)
    tl.store(sums + C, tl.sum(value * normalised, 0), mask=c < C)
