"""Losses of ensembles of some of the members, sample by sample."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.decompositions import SoftLabels, chance_of, expected_log
from bvalign.analysis.groups import MemberGroups, MemberSums, Residuals
from bvalign.analysis.sizes.unions import Unions

AT_ONCE = 2**21
"""Most numbers of the mean probabilities that are formed together: 16 MB."""


class SetLosses(NamedTuple):
    """Of the mean probabilities p̄ of each set; float32."""

    error: Float[Tensor, "sets drawn"]  # 1 where the most probable class is not the label
    cross_entropy: Float[Tensor, "sets drawn"]  # -log p̄_y, nats
    confidence: Float[Tensor, "sets drawn"]  # max p̄
    excess: Float[Tensor, "sets drawn"]  # the same minus the chance that its class is the label


def set_losses(
    sums: MemberSums, given: Residuals, labels: SoftLabels | None, groups: MemberGroups, sets: Unions
) -> SetLosses:
    """Losses of each set.

    Args:
        sums: over each group of members.
        given: residuals of all members on the same samples.
        labels: soft labels of these; None for class ids.
        groups: of the members.
        sets: unions of the groups.
    """
    losses = SetLosses(*(torch.empty(len(sets.groups), len(given.target)) for _ in range(4)))
    at = given.target.unsqueeze(-1)
    own = given.probs.gather(-1, at.expand(len(given.probs), -1, 1)).squeeze(-1)
    by_group = torch.stack([own[list(members)].sum(dim=0) for members in groups.members])
    step = max(1, AT_ONCE // max(given.mean.numel(), 1))
    for start in range(sets.single, len(sets.groups), step):
        rows = slice(start, start + step)
        chosen = sets.groups[rows].double() * sets.inverse[rows, None]
        probs = (chosen @ sums.magnitude.flatten(1)).view(len(chosen), *given.mean.shape)
        _to_probs(probs, given)
        for array, values in zip(
            losses, _losses(probs, chosen @ by_group, given, labels), strict=True
        ):
            array[rows] = values
    for row in range(sets.single):
        members = [m for g in sets.groups[row].nonzero() for m in groups.members[g]]
        alone = _losses(given.probs[members], own[members], given, labels)
        for array, values in zip(losses, alone, strict=True):
            array[row] = values.mean(dim=0)
    return losses


def _to_probs(magnitude: Float[Tensor, "some drawn classes"], given: Residuals) -> None:
    """From mean |p - e_y|, in place."""
    at = given.target.expand(magnitude.shape[:2]).unsqueeze(-1)
    magnitude.scatter_(-1, at, 1 - magnitude.gather(-1, at))


def _losses(
    probs: Float[Tensor, "some drawn classes"],
    own: Float[Tensor, "some drawn"],
    given: Residuals,
    labels: SoftLabels | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    largest, predicted = probs.max(dim=-1)
    error = (predicted != given.target).double()
    if labels is None:
        return error, -own.log(), largest, largest - 1 + error
    chance = torch.stack([chance_of(labels.probs, row) for row in predicted])
    return error, -expected_log(probs.log(), labels), largest, largest - chance
