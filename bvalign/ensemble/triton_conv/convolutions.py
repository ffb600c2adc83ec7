"""Triton kernels of a 3 x 3 convolution of all members: forward, and the two of its gradient.

Images are (members, batch, height, width, channels), weights (members, 9, C, K) of compute dtype;
the second grid axis is the member. With tap t = 3 di + dj, stride S and padding 1,

    y[p, k]     = Σ_{t, c} u[S i + di - 1, S j + dj - 1, c] w[t, c, k]      p = (n, i, j)
    dw[t, c, k] = Σ_p      u[S i + di - 1, S j + dj - 1, c] dy[p, k]
    du[q, c]    = Σ_{t, k} dy[(ii + 1 - di) / S, (jj + 1 - dj) / S, k] w[t, c, k]      q = (n, ii, jj)

where outside of the image u is 0 and where a quotient is no integer there is no term. Each is
2 · 9 · C · K FLOPs for a pixel of y, and u and y are (C + K) numbers of it: with 16 channels 72 FLOPs
for a byte in bfloat16, so memory is the limit and everything beside the sums is done on the way:

    u  = relu(scale x + shift)         batch norm of the layer before, read instead of written
    dy = slope dz + tilt y + level     its gradient (`norms.batch_norm_backward`), z = scale y + shift
    dz = du where z > 0                the gradient of ReLU

and the sums that batch norm needs of y and dz leave as one row for each block of pixels, which
`norms` adds up in a fixed order: there are no atomics, so digits are the same in every run.

`norm` is (members, 4, channels) float32: scale, shift, mean, 1 / standard deviation. Sums are
float32. BP pixels, BC channels of x and BK of y are one tile; neighbouring programs share pixels, then
rows of the image, then weights, which L2 keeps.
"""

import triton
import triton.language as tl


@triton.jit
def _row(table, member, row, columns, ROWS: tl.constexpr, C: tl.constexpr):
    """Columns of a row of (members, ROWS, C)."""
    return tl.load(table + (member * ROWS + row) * C + columns, mask=columns < C, other=0.0)


@triton.jit
def _activation(x, valid, norm, member, c, C: tl.constexpr):
    """relu(scale x + shift) in x's dtype, 0 where x lies outside of the image."""
    scale, shift = _row(norm, member, 0, c, 4, C), _row(norm, member, 1, c, 4, C)
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
    H: tl.constexpr,
    W: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    S: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
    BK: tl.constexpr,
    NORMED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """y and, of each block of pixels, the sum of y and of the squares about the block's mean.

    NORMED: u = relu(scale x + shift), otherwise u = x. Moments (members, blocks, 2, K) are those of
    y as it is stored. Grid (blocks · channel blocks, members).
    """
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
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
            u = _activation(u, valid, norm, member, c, C)
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
    H: tl.constexpr,
    W: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    S: tl.constexpr,
    PIXELS: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
    BK: tl.constexpr,
    NORMED: tl.constexpr,
    STORED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dw of PIXELS pixels, (members, parts, 9, C, K), and dy where STORED, which dgrad reads.

    A program has one row di of the kernel: its tile of u is BP pixels by 4 · BC columns (dj, c), of
    which dj = 3 is empty, as blocks are powers of two. Grid (parts · channel blocks · 3, members).
    """
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    CS: tl.constexpr = (C + BC - 1) // BC
    KS: tl.constexpr = (K + BK - 1) // BK
    di, member = tl.program_id(0) % 3, tl.program_id(1).to(tl.int64)
    block = tl.program_id(0) // 3
    part, c_block, k_block = block // (CS * KS), block // KS % CS, block % KS
    column = tl.arange(0, 4 * BC)
    dj, c = column // BC, c_block * BC + column % BC
    k = k_block * BK + tl.arange(0, BK)
    pixels = batch * OH * OW
    x += member * batch * H * W * C
    slope, tilt = _row(slopes, member, 0, k, 3, K), _row(slopes, member, 1, k, 3, K)
    level = _row(slopes, member, 2, k, 3, K)
    acc = tl.zeros((4 * BC, BK), tl.float32)
    for start in range(part * PIXELS, tl.minimum((part + 1) * PIXELS, pixels), BP):
        p = start + tl.arange(0, BP)
        n, i, j = p // (OH * OW), p // OW % OH, p % OW
        ii, jj = S * i + di - 1, (S * j)[:, None] + dj[None, :] - 1
        valid = ((p < pixels) & (ii >= 0) & (ii < H))[:, None] & (jj >= 0) & (jj < W)
        valid &= (dj < 3)[None, :] & (c < C)[None, :]
        at = (((n * H + ii) * W)[:, None] + jj) * C + c[None, :]
        u = tl.load(x + at, mask=valid, other=0.0)
        if NORMED:
            u = _activation(u, valid, norm, member, c, C)
        here = (p < pixels)[:, None] & (k < K)[None, :]
        at = member * pixels * K + p[:, None] * K + k[None, :]
        gradient = tl.load(dz + at, mask=here, other=0.0).to(tl.float32) * slope[None, :]
        gradient += tl.load(y + at, mask=here, other=0.0).to(tl.float32) * tilt[None, :]
        gradient = tl.where(here, gradient + level[None, :], 0.0).to(u.dtype)
        if STORED:
            if di + c_block == 0:
                tl.store(dy + at, gradient, mask=here)
        acc = tl.dot(tl.trans(u), gradient, acc, input_precision=PRECISION)
    parts = tl.num_programs(0) // (3 * CS * KS)
    row = ((member * parts + part) * 9 + 3 * di + dj) * C + c
    here = ((dj < 3) & (c < C))[:, None] & (k < K)[None, :]
    tl.store(dw + row[:, None] * K + k[None, :], acc, mask=here)


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
    H: tl.constexpr,
    W: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    S: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
    BK: tl.constexpr,
    BLOCK_INPUT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dz of the batch norm before this convolution, and the sums of dz and of dz · normalised y.

    y and norm are of that batch norm, on the pixels of u. BLOCK_INPUT: u is the sum of a block, it is
    read to see where ReLU was open, and du gets the gradient `shortcut` (members, batch, out height,
    out width, K) of the next block's sum too; otherwise u = relu(scale y + shift).

    Pixels are taken in S · S classes, the third grid axis, by the remainders of (ii, jj): those of a
    class have the same taps, 9 in all for S = 2. Sums are (members, blocks · S · S, 2, C). Grid
    (blocks · channel blocks, members, S · S).
    """
    OH: tl.constexpr = (H - 1) // S + 1
    OW: tl.constexpr = (W - 1) // S + 1
    CS: tl.constexpr = (C + BC - 1) // BC
    KS: tl.constexpr = (K + BK - 1) // BK
    block, member = tl.program_id(0) // CS, tl.program_id(1).to(tl.int64)
    a, b = tl.program_id(2) // S, tl.program_id(2) % S
    c = tl.program_id(0) % CS * BC + tl.arange(0, BC)
    q = block * BP + tl.arange(0, BP)
    n, i, j = q // (OH * OW), q // OW % OH, q % OW  # every class has at most as many as y
    ii, jj = S * i + a, S * j + b
    first_di, first_dj = (a + 1) % S, (b + 1) % S
    rows, columns = (2 - first_di) // S + 1, (2 - first_dj) // S + 1
    dy += member * batch * OH * OW * K
    w += member * 9 * C * K
    acc = tl.zeros((BP, BC), tl.float32)
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
    valid = ((n < batch) & (ii < H) & (jj < W))[:, None] & (c < C)[None, :]
    at = ((member * batch + n) * H + ii) * W + jj
    at = at[:, None] * C + c[None, :]
    before = tl.load(y + at, mask=valid, other=0.0).to(tl.float32)
    if BLOCK_INPUT:
        if a + b == 0:
            extra = ((member * batch + n) * OH + i) * OW + j
            extra = extra[:, None] * K + ((K - C) // 2 + c)[None, :]
            acc += tl.load(shortcut + extra, mask=valid, other=0.0).to(tl.float32)
        is_open = ~(tl.load(u + at, mask=valid, other=0.0) <= 0.0)
    else:
        scale, shift = _row(norm, member, 0, c, 4, C), _row(norm, member, 1, c, 4, C)
        is_open = ~(before * scale[None, :] + shift[None, :] <= 0.0)
    stored = tl.where(valid & is_open, acc, 0.0).to(dz.dtype.element_ty)
    tl.store(dz + at, stored, mask=valid)
    value = stored.to(tl.float32)
    mean, inverse = _row(norm, member, 2, c, 4, C), _row(norm, member, 3, c, 4, C)
    normalised = (before - mean[None, :]) * inverse[None, :]
    blocks = tl.num_programs(0) // CS * S * S
    sums += (member * blocks + block * S * S + tl.program_id(2)) * 2 * C + c
    tl.store(sums, tl.sum(value, 0), mask=c < C)
    tl.store(sums + C, tl.sum(value * normalised, 0), mask=c < C)
