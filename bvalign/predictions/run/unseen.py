"""Which of the members that have not seen a training sample judge it.

All samples get the same number r of judges, so that "judge j of each sample" is one more member to
an analysis: out-of-fold predictions of one cross-validation, or out-of-bag ones. The members are
dealt into r groups of successive members, and judge j of a sample is the first member of group j
that has not seen it. With K folds the groups are the rounds of K members that leave out each sample
once. Judges of different groups share no network and no random number, as members do not, so that
intervals over judges mean what intervals over members do: what another ensemble, trained in the
same way on the same samples, would give.

Of bootstrap resamples a group may have seen a sample as a whole, with probability (1 - 1/e)^7 = 4%
for groups of seven. Then the first unused member of any group takes the place: in so few cases that
intervals over judges are hardly too narrow.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

BOOTSTRAPPED = 7
"""Members of a group, each trained on a resample of its own."""

ENOUGH, MOST = 0.99, 0.7
"""Parts of the samples, not seen by all members, that must have all judges, and that must have two
where there would be one, which has no variance."""


class Judges(NamedTuple):
    """The judges of the samples that have all of them."""

    rows: Int64[np.ndarray, " kept"]  # of these samples, ascending
    members: Int64[np.ndarray, "judges kept"]  # positions of the members
    num_unseen: Int64[np.ndarray, " kept"]  # members that have not seen each of these samples


def choose_judges(
    seen: Bool[np.ndarray, "members samples"],
    ids: Int64[np.ndarray, " members"],
    bootstrap: str = "off",
    folds: int = 1,
) -> Judges:
    """Chooses the judges of each sample; samples with fewer are left out.

    There are as many judges as groups, or as many as 99% of the samples can have that are not seen
    by all members; but two rather than one where most of these samples can.

    Args:
        seen: whether each member was trained on each sample.
        ids: of the members, ascending.
        bootstrap: kind of `Randomness.bootstrap`; a `shared` resample makes each member a group.
        folds: of `kfold`.

    Raises:
        ValueError: every sample is seen by all members.
    """
    num_unseen = (~seen).sum(axis=0)
    some = num_unseen[num_unseen > 0]
    if not len(some):
        raise ValueError(
            f"all {len(ids)} members were trained on all {seen.shape[1]} training samples, so none "
            "can judge them; train with --model.randomness.bootstrap=kfold (or member)"
        )
    rounds = np.unique(ids // folds, return_inverse=True)[1]
    most = {"kfold": rounds[-1] + 1, "member": max(len(ids) // BOOTSTRAPPED, 1)}
    enough = np.quantile(some, 1 - ENOUGH, method="lower")
    number = int(min(most.get(bootstrap, len(ids)), enough))
    if number == 1 and (some >= 2).mean() >= MOST:
        number = 2
    groups = rounds if bootstrap == "kfold" else np.arange(len(ids)) * number // len(ids)
    rows = np.flatnonzero(num_unseen >= number)
    free, members = ~seen[:, rows], np.full((number, len(rows)), -1)
    for own in (True, False):
        for judge, chosen in enumerate(members):
            can = free & (groups == judge)[:, None] if own else free
            at = np.flatnonzero(can.any(axis=0) & (chosen < 0))
            chosen[at] = can[:, at].argmax(axis=0)
            free[chosen[at], at] = False
    return Judges(rows, members, num_unseen[rows])
