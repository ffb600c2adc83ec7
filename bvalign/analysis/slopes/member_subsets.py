"""The subsets of the members that are computed: all, half-samples, smaller ensembles, parts.

`selection` says which samples count as correct:
    same        by the members whose values enter the line; this is the paper's choice. Whether a
                sample is in then depends on the errors of its own values.
    other       clouds of points come from two thirds of the members, judged by the other third;
                three rotations are averaged. The price is a smaller ensemble.
    threshold   instead of argmax: bias_sq_unbiased < 0.1, by the same members as in "same".
Estimators of thirds or halves are judged by members whose values do not enter whatever the
selection.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from bvalign.analysis.slopes.pairs import PairSums
from bvalign.analysis.slopes.subset_values import SubsetValues

NUM_SPLITS = 8
NUM_HALF_SAMPLES = 40
NUM_CURVE_DRAWS = 8
THRESHOLD = 0.1

Selection = Literal["same", "other", "threshold"]


class MemberSubset(NamedTuple):
    """A set of members and its parts, as rows of a table of subsets."""

    whole: int
    clouds: tuple[tuple[int, int], ...]  # (members that give a cloud, those that judge it)
    thirds: tuple[tuple[int, int, int], ...] = ()
    halves: tuple[tuple[int, int], ...] = ()


class Design(NamedTuple):
    """All subsets of the members that are needed, and which samples count as correct."""

    sums: PairSums  # over the pairs of every subset
    error_rows: tuple[int, ...]  # subsets that give a cloud of points
    full: MemberSubset
    halves: tuple[MemberSubset, ...]  # random half-samples
    curve: dict[int, tuple[MemberSubset, ...]]  # number of members -> random subsets of that size
    selection: Selection

    @property
    def subsets(self) -> Bool[Tensor, "subsets members"]:
        return self.sums.subsets

    def select(self, values: SubsetValues) -> SubsetValues:
        """Values whose `correct` obeys the selection."""
        if self.selection != "threshold":
            return values
        return values._replace(correct=values.bias_sq_unbiased < THRESHOLD)


def design(
    num_members: int,
    *,
    seed: int = 0,
    selection: Selection = "same",
    curve_draws: int = NUM_CURVE_DRAWS,
) -> Design:
    """Draws the subsets; the same for the same number of members and seed.

    Args:
        num_members: M.
        seed: of the draws.
        selection: which samples count as correct.
        curve_draws: ensembles of each size 2, 4, 8, ... < M; 0 for none.
    """
    thirds_rng, halves_rng = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    rows: list[np.ndarray] = []

    def row(members: np.ndarray) -> int:
        rows.append(np.isin(np.arange(num_members), members))
        return len(rows) - 1

    def parts(members: np.ndarray, size: int, rng: np.random.Generator, splits: int) -> tuple:
        orders = [rng.permutation(members) for _ in range(splits if size >= 2 else 0)]
        number = len(members) // max(size, 1)
        return tuple(
            tuple(row(order[i * size : (i + 1) * size]) for i in range(number)) for order in orders
        )

    def clouds(members: np.ndarray, whole: int) -> tuple[tuple[int, int], ...]:
        if selection != "other":
            return ((whole, whole),)
        order = halves_rng.permutation(members)
        judges = [order[i::3] for i in range(3 if len(members) >= 3 else 1)]
        return tuple((row(np.setdiff1d(members, judge)), row(judge)) for judge in judges)

    def subset(members: np.ndarray, num_thirds: int, num_halves: int) -> MemberSubset:
        size = len(members)
        thirds = tuple(t[:3] for t in parts(members, size // 3, thirds_rng, num_thirds))
        halves = tuple(h[:2] for h in parts(members, size // 2, halves_rng, num_halves))
        whole = row(members)
        return MemberSubset(whole, clouds(members, whole), thirds, halves)

    def draw(size: int) -> MemberSubset:
        return subset(np.sort(thirds_rng.permutation(num_members)[:size]), 2, 1)

    full = subset(np.arange(num_members), NUM_SPLITS, NUM_SPLITS)
    half = num_members // 2
    halves = tuple(draw(half) for _ in range(NUM_HALF_SAMPLES if half >= 2 else 0))
    sizes = [2**k for k in range(1, 20) if 2**k < num_members and curve_draws]
    curve = {m: tuple(draw(m) for _ in range(curve_draws)) for m in sizes}
    curve[num_members] = (full,)
    all_subsets = [full, *halves, *(part for of_size in curve.values() for part in of_size)]
    cloud_rows = (cloud for part in all_subsets for cloud, _ in part.clouds)
    error_rows = dict.fromkeys([full.whole, *cloud_rows])
    sums = PairSums(torch.from_numpy(np.stack(rows)))
    return Design(sums, tuple(error_rows), full, halves, curve, selection)
