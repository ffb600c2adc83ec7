"""Which doubt to trust, chosen on samples that then neither judge it nor set its threshold."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.groups import Doubts
from bvalign.analysis.intervals import samples_variance
from bvalign.decisions.abstain.combination import (
    LEAST_OF_BOTH,
    OF_ONE,
    Combination,
    combine,
    out_of_fold,
)
from bvalign.decisions.abstain.ranking import areas

COMBINATION = "combination"
OF_SEVERAL = ("variance", "mutual_information", "votes")
"""Doubts that need members which can differ."""

COMBINED = (*OF_ONE, "variance", "mutual_information")


SURE = 1.645
"""Standard errors by which the combination must be better."""


class Choice(NamedTuple):
    """The doubt that is trusted, and those it was chosen from."""

    name: str
    names: tuple[str, ...]
    combination: Combination | None  # fitted, whether chosen or not; None where errors are few

    def doubt(self, found: Doubts, name: str | None = None) -> Float[Tensor, "*sets samples"]:
        """The chosen doubt of each sample, or another one by its name."""
        name = name or self.name
        return self.combination.probability(found) if name == COMBINATION else getattr(found, name)


def choose(
    found: Doubts,
    wrong: Float[Tensor, " samples"],
    clusters: Int[Tensor, " samples"] | None,
    num_members: int,
    num_classes: int,
) -> Choice:
    """Chooses the doubt of least AUGRC.

    The combination is judged by fits to other samples, and taken where it is better than the best
    single doubt in a one-sided test at 5%: a simple doubt needs no proof.

    Args:
        found: doubts of each sample, clusters together.
        wrong: 1 where the prediction is wrong, else 0.
        clusters: of the samples; None if they are independent.
        num_members: M; one has no doubts of several.
        num_classes: K.
    """
    singles = OF_ONE if num_members == 1 else (*OF_ONE, *OF_SEVERAL)
    doubts = torch.stack([getattr(found, name) for name in singles])
    single = areas(doubts, wrong.expand(doubts.shape)).augrc
    best = int(single.value.argmin())
    if min(wrong.sum(), (1 - wrong).sum()) < LEAST_OF_BOTH:
        return Choice(singles[best], singles, None)
    names = COMBINED[: len(OF_ONE)] if num_members == 1 else COMBINED
    fit = (found, wrong, names, num_classes)
    several = areas(out_of_fold(*fit)[None], wrong[None]).augrc
    change = several.influence[0] - single.influence[best]
    better = float(change.mean()) + SURE * math.sqrt(samples_variance(change, clusters)[0]) < 0
    chosen = COMBINATION if better else singles[best]
    return Choice(chosen, (*singles, COMBINATION), combine(*fit))
