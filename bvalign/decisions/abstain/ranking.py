"""How well a doubt ranks the samples: areas under risk-coverage curves, with influence values.

Accept the k of N samples with the smallest doubt. Their error rate is R_k = (errors among them) /
k, their coverage k / N. A new sample that falls where the k-th one is would find k - 1 of the N - 1
others before it, and so

    AURC   mean over samples of the error rate of those before it     = sum_(k<N) R_k / (N - 1)
    AUGRC  share of ordered pairs of samples whose first one is wrong and has the smaller doubt
           = sum_(k<N) k R_k / (N (N - 1))

estimate the areas for infinitely many samples (AURC: Geifman & El-Yaniv 2017; AUGRC: Traub et al.
2024); the second without bias. With risk r of all samples, AUGRC is r / 2 for a doubt that says
nothing and r² / 2 for one that ranks perfectly. The trapezoidal rule over coverages from 1 / N to 1
gives the same plus (R_N - R_1) / (2 (N - 1)) and (R_N - R_1 / N) / (2 (N - 1)): the values of
torch-uncertainty 0.13.

Samples of equal doubt count as in random order: each has the mean of what its places would give.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Area(NamedTuple):
    """An area, and the influence of each sample on it, whose mean is the area."""

    value: Float[Tensor, " sets"]
    influence: Float[Tensor, "sets samples"]


class Areas(NamedTuple):
    """Areas under the curves of risk and of risk times coverage, over coverage."""

    aurc: Area
    augrc: Area


class Ranked(NamedTuple):
    """Samples in the order of their doubt; those of equal doubt share what they have."""

    order: Int[Tensor, "sets samples"]
    block: Int[Tensor, "sets samples"]  # number of the run of equal doubts, in order
    size: Float[Tensor, "sets samples"]  # samples of the run
    wrong: Float[Tensor, "sets samples"]  # share of the run that is wrong

    @property
    def errors(self) -> Float[Tensor, "sets samples"]:
        """Errors among the first 1, 2, ... samples."""
        return self.wrong.cumsum(dim=-1)

    def shared(self, values: Tensor) -> Float[Tensor, "sets samples"]:
        """Mean over the run of each sample; `values` in order."""
        values = values.expand(self.size.shape)
        total = torch.zeros_like(self.size).scatter_add_(-1, self.block, values)
        return total.gather(-1, self.block) / self.size


def ranked(doubt: Float[Tensor, "sets samples"], wrong: Float[Tensor, "sets samples"]) -> Ranked:
    """Sorts samples by their doubt.

    Args:
        doubt: smallest first.
        wrong: 1 where the prediction is wrong, else 0.
    """
    doubt, order = doubt.sort(dim=-1)
    new = torch.zeros_like(doubt, dtype=torch.int64)
    new[:, 1:] = doubt[:, 1:] != doubt[:, :-1]
    block, ones = new.cumsum(dim=-1), torch.ones_like(doubt)
    size = torch.zeros_like(doubt).scatter_add_(-1, block, ones).gather(-1, block)
    plain = Ranked(order, block, size, wrong.gather(-1, order))
    return plain._replace(wrong=plain.shared(plain.wrong))


def areas(doubt: Float[Tensor, "sets samples"], wrong: Float[Tensor, "sets samples"]) -> Areas:
    """AURC and AUGRC of several doubts.

    Args:
        doubt: of at least two samples, from each set of members.
        wrong: 1 where the prediction of that set is wrong, else 0.

    >>> doubt = torch.tensor([[0.1, 0.2, 0.3]]).double()
    >>> found = areas(doubt, torch.tensor([[0.0, 0.0, 1.0]]).double())  # the error comes last
    >>> found.aurc.value.item(), found.augrc.value.item()
    (0.0, 0.0)
    >>> found = areas(-doubt, torch.tensor([[0.0, 0.0, 1.0]]).double())  # R_1 = 1, R_2 = 1/2
    >>> found.aurc.value.item(), found.augrc.value.item()  # (1 + 1/2) / 2, (1 + 1) / (3 · 2)
    (0.75, 0.3333333333333333)
    """
    here = ranked(doubt, wrong)
    number = doubt.shape[-1]
    place = torch.arange(1, number + 1, dtype=torch.float64)
    errors, own = here.errors, wrong.gather(-1, here.order)
    risk = errors / place
    augrc = errors[:, :-1].sum(dim=-1) / (number * (number - 1))
    aurc = risk[:, :-1].mean(dim=-1)
    # pairs that a sample is part of: as a wrong one before others, and behind wrong ones
    after = here.shared(number - place)
    before = here.shared(errors - here.wrong) + (here.wrong - own) / 2
    of_augrc = (own * after + before) / (number - 1)
    # moves the error rate at every coverage from its own place on
    rates, weighted = (_from_here_on(values) for values in (1 / place, risk / place))
    of_aurc = here.shared(risk) + own * here.shared(rates) - here.shared(weighted)
    return Areas(
        Area(aurc, _in_place(of_aurc, here, aurc)), Area(augrc, _in_place(of_augrc, here, augrc))
    )


def places(doubt: Float[Tensor, "sets samples"]) -> Int[Tensor, "sets samples"]:
    """Place of each sample, from 0 of the smallest doubt; equal ones in the order they come."""
    order = doubt.argsort(dim=-1, stable=True)
    return torch.empty_like(order).scatter_(
        -1, order, torch.arange(order.shape[-1]).expand_as(order)
    )


def _from_here_on(values: Tensor) -> Tensor:
    """Sums over a place and all behind it."""
    return values.flip(-1).cumsum(dim=-1).flip(-1)


def _in_place(influence: Tensor, here: Ranked, value: Float[Tensor, " sets"]) -> Tensor:
    """Influence values in the order of the samples, with the area as their mean."""
    centred = influence - influence.mean(dim=-1, keepdim=True) + value[:, None]
    return torch.empty_like(centred).scatter_(-1, here.order, centred)
