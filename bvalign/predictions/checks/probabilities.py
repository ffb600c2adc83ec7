"""Checks of probabilities: how far rounding may take sums from one, and whether they are hard.

Rows are divided by their sum when they are read, so they need not sum to one exactly. How far off a
sum may be depends on how the numbers are stored, with K classes:

    any                          1e-3: float16 softmax over 1000 classes is within
    bfloat16, float16            K 2^-9, K 2^-12; with more than 16 classes as with 16, as rounding
                                 changes a probability by a part of itself
    all of 2, 3, 4, 5 decimals   K 10^-decimals / 2, at most 0.1
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.predictions.checks.precision import coarsest
from bvalign.predictions.predictions import name_members

TOLERANCE, MOST_TOLERANCE = 1e-3, 0.1
NOTED_ERROR = 5e-4
"""How far off a sum must be to be noted."""

CLASSES_OF_TYPE = 16
DECIMALS = range(2, 6)
LEAST_NEGATIVE = -1e-12
"""Entries from here to zero are zero: what calibrators and differences leave."""

ROWS_READ = 1000
"""First samples that tell how the numbers are rounded, and probabilities from logits."""

Probs = Float[Tensor, "members rows classes"]


class Rounding(NamedTuple):
    """How the numbers of a file are rounded."""

    what: str  # for notes
    tolerance: float
    decimals: int | None = None  # of all numbers; None if more than five
    tolerance_of_decimals: float = 0.0

    def sums_to_one(self, probs: Probs) -> Bool[Tensor, "members rows"]:
        """Tells which rows sum to one within their tolerance; NaN do not."""
        off = (probs.sum(dim=-1) - 1).abs()
        within = off < self.tolerance
        if self.decimals is None or within.all():
            return within
        rounded = _has_decimals(probs, self.decimals).all(dim=-1)
        return within | (rounded & (off < self.tolerance_of_decimals))


class Checked(NamedTuple):
    """What one pass over probabilities has found."""

    saturated: int  # samples with a probability of one
    off: float  # furthest that a sum is from one


def rounding_of(first: Probs, dtypes: Sequence[str]) -> Rounding:
    """Tells how numbers are rounded.

    Args:
        first: some rows of all members, float64.
        dtypes: names of the members' number types.
    """
    num_classes, half = first.shape[-1], coarsest(dtypes)
    if half is not None:
        of_type = min(num_classes, CLASSES_OF_TYPE) * half.eps / 4
        return Rounding(half.dtype, max(TOLERANCE, of_type))
    for decimals in DECIMALS:
        if _has_decimals(first, decimals).all():
            # a little more than half a unit, as the numbers are rounded to their type as well
            tolerance = min(num_classes * 0.501 * 10.0**-decimals, MOST_TOLERANCE)
            return Rounding(f"rounded to {decimals} decimals", TOLERANCE, decimals, tolerance)
    return Rounding("rounded", TOLERANCE)


def check_probs(
    path: Path, blocks: Iterable[Probs], rounding: Rounding, members: Sequence[int | str]
) -> Checked:
    """Checks probabilities in one pass.

    Args:
        path: named in messages.
        blocks: float64 probabilities of successive samples.
        rounding: of these numbers.
        members: ids or names.

    Raises:
        ValueError: rows are NaN, negative or do not sum to one; the message shows the first.
    """
    missing = torch.zeros(len(members), dtype=torch.int64)
    first, start, num_bad, saturated, furthest = None, 0, 0, 0, 0.0
    for probs in blocks:
        nan = probs.isnan().any(dim=-1)
        missing += nan.sum(dim=1)
        good = rounding.sums_to_one(probs) & (probs.amin(dim=-1) >= LEAST_NEGATIVE)
        bad = torch.nonzero(~good & ~nan)
        if len(bad) and first is None:
            member, row = bad[0].tolist()
            first = (members[member], start + row, probs[member, row])
        num_bad += len(bad)
        off = (probs.sum(dim=-1) - 1).abs()
        furthest = max(furthest, float(off.where(good, 0.0).max()))
        saturated += int((probs.amax(dim=-1) == 1).any(dim=0).sum())
        start += probs.shape[1]
    if missing.any():
        named = name_members(members, missing, start)
        raise ValueError(f"{path}: 'probs' are NaN: {named}; leave these members out")
    if first is not None:
        member, row, probs = first
        raise ValueError(
            f"{path}: 'probs' must be at least 0 and sum to one over classes, but {num_bad} "
            f"rows do not; the first is member {member}, sample {row}, {_what_is_wrong(probs)}"
        )
    return Checked(saturated, furthest)


def is_hard(values: Float[Tensor, "members rows classes"], key: str) -> bool:
    """Tells whether all probabilities are exactly 0 or 1.

    Args:
        values: of some rows.
        key: logits or probs.
    """
    if key == "logits":
        return bool(((values == -torch.inf).sum(dim=-1) == values.shape[-1] - 1).all())
    return bool((((values == 0) | (values == 1)).all(dim=-1) & (values.sum(dim=-1) == 1)).all())


def _has_decimals(values: Probs, decimals: int) -> Bool[Tensor, "members rows classes"]:
    """Tells which numbers have no more decimals, up to the rounding of float32."""
    scaled = values * 10.0**decimals
    return (scaled - scaled.round()).abs() <= 10.0**decimals * torch.finfo(torch.float32).eps


def _what_is_wrong(probs: Float[Tensor, " classes"]) -> str:
    """Says what is wrong with a row, and what to do about it."""
    total, least = float(probs.sum()), float(probs.min())
    told = f"sum {total:.6g}" + (f", smallest entry {least:.3g}" if least < 0 else "")
    if least < 0:
        return f"{told}; scores before the softmax are 'logits', other negative ones cannot be read"
    if abs(total - 100) < 1:
        return f"{told}; percentages must be divided by 100"
    return f"{told}; if each row lacks a factor alone, save probs / probs.sum(-1, keepdims=True)"
