"""Subsets of the members whose values are computed: all, half-samples, smaller ensembles, parts.

`selection` sets which samples count as correct:
    same        by the members whose values enter the line, as in the paper. Inclusion of a sample
                then depends on the errors of its own values.
    other       clouds of points come from two thirds of the members, correctness from the other
                third; three rotations are averaged. The price is a smaller ensemble.
    threshold   bias_sq_unbiased < 0.1 instead of argmax, by the same members as in "same".
Estimators of thirds or halves always take correctness from members whose values do not enter.
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
    """A set of members and its parts, as rows of `Design.subsets`."""

    whole: int
    clouds: tuple[tuple[int, int], ...]  # (members of a cloud, those who judge it)
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
        """Members of each subset."""
        return self.sums.subsets

    def select(self, values: SubsetValues) -> SubsetValues:
        """Applies the selection to `correct`."""
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
        seed: of the random draws.
        selection: which samples count as correct.
        curve_draws: ensembles of each size 2, 4, 8, ... < M; 0 for none.
    """
    sampler = _Sampler(num_members, seed, selection)
    full = sampler.subset(np.arange(num_members), NUM_SPLITS, NUM_SPLITS)
    half = num_members // 2
    halves = tuple(sampler.draw(half) for _ in range(NUM_HALF_SAMPLES if half >= 2 else 0))
    sizes = [2**k for k in range(1, 20) if 2**k < num_members and curve_draws]
    curve = {m: tuple(sampler.draw(m) for _ in range(curve_draws)) for m in sizes}
    curve[num_members] = (full,)
    all_subsets = [full, *halves, *(part for of_size in curve.values() for part in of_size)]
    cloud_rows = (cloud for part in all_subsets for cloud, _ in part.clouds)
    error_rows = dict.fromkeys([full.whole, *cloud_rows])
    sums = PairSums(torch.from_numpy(np.stack(sampler.rows)))
    return Design(sums, tuple(error_rows), full, halves, curve, selection)


class _Sampler:
    """Draws subsets of the members and their parts; each becomes one of `rows`."""

    def __init__(self, num_members: int, seed: int, selection: Selection) -> None:
        self.num_members, self.selection = num_members, selection
        self.thirds_rng, self.halves_rng = map(np.random.default_rng, (seed, (seed, 1)))
        self.rows: list[np.ndarray] = []

    def draw(self, size: int) -> MemberSubset:
        """Random members, with few splits."""
        return self.subset(np.sort(self.thirds_rng.permutation(self.num_members)[:size]), 2, 1)

    def subset(self, members: np.ndarray, num_thirds: int, num_halves: int) -> MemberSubset:
        """Given members, with random splits into thirds and halves."""
        size = len(members)
        thirds = tuple(t[:3] for t in self._parts(members, size // 3, self.thirds_rng, num_thirds))
        halves = tuple(h[:2] for h in self._parts(members, size // 2, self.halves_rng, num_halves))
        whole = self._row(members)
        return MemberSubset(whole, self._clouds(members, whole), thirds, halves)

    def _parts(
        self, members: np.ndarray, size: int, rng: np.random.Generator, splits: int
    ) -> tuple:
        orders = [rng.permutation(members) for _ in range(splits if size >= 2 else 0)]
        number = len(members) // max(size, 1)
        return tuple(
            tuple(self._row(order[i * size : (i + 1) * size]) for i in range(number))
            for order in orders
        )

    def _clouds(self, members: np.ndarray, whole: int) -> tuple[tuple[int, int], ...]:
        if self.selection != "other":
            return ((whole, whole),)
        order = self.halves_rng.permutation(members)
        judges = [order[i::3] for i in range(3 if len(members) >= 3 else 1)]
        return tuple((self._row(np.setdiff1d(members, j)), self._row(j)) for j in judges)

    def _row(self, members: np.ndarray) -> int:
        self.rows.append(np.isin(np.arange(self.num_members), members))
        return len(self.rows) - 1
