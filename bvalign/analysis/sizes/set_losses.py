"""Losses of ensembles of some of the members, sample by sample."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.decompositions import SoftLabels, chance_of, expected_log
from bvalign.analysis.groups import MemberGroups, MemberSums, Residuals
from bvalign.analysis.sizes.unions import Unions

AT_ONCE = 2**19
"""Most sums of probabilities that are formed together: 2 MB, which stay in the cache."""


class SetLosses(NamedTuple):
    """Of the mean probabilities p̄ of each set, float32; means of the losses of single members."""

    error: Float[Tensor, "sets drawn"]  # 1 where the most probable class is not the label
    cross_entropy: Float[Tensor, "sets drawn"]  # -log p̄_y, nats
    confidence: Float[Tensor, "sets drawn"]  # max p̄; NaN of single members
    excess: Float[Tensor, "sets drawn"]  # the same minus the chance that its class is the label


def set_losses(
    sums: MemberSums,
    given: Residuals,
    labels: SoftLabels | None,
    groups: MemberGroups,
    sets: Unions,
) -> SetLosses:
    """Losses of each set.

    Args:
        sums: over each group of members.
        given: residuals of all members on the same samples.
        labels: soft labels of these; None for class ids.
        groups: of the members.
        sets: unions of the groups.
    """
    number, single = len(sets.groups), sets.single
    losses = SetLosses(*(torch.empty(number, len(given.target)) for _ in range(4)))
    at = given.target.unsqueeze(-1)
    own = given.probs.gather(-1, at.expand(len(given.probs), -1, 1)).squeeze(-1)
    for row in range(single):
        members = [m for g in sets.groups[row].nonzero() for m in groups.members[g]]
        probs = given.probs[members]
        losses.error[row] = (probs.argmax(dim=-1) != given.target).double().mean(dim=0)
        losses.cross_entropy[row] = _cross_entropy(probs, own[members], labels).mean(dim=0)
        losses.confidence[row], losses.excess[row] = math.nan, math.nan
    own = torch.stack([own[list(members)].sum(dim=0) for members in groups.members])
    magnitude = sums.magnitude.float().flatten(1)
    step = max(1, AT_ONCE // max(given.mean.numel(), 1))
    for start in range(single, number, step):
        rows = slice(start, start + step)
        inverse, chosen = sets.inverse[rows, None], sets.groups[rows]
        total = (chosen.float() @ magnitude).view(len(chosen), *given.mean.shape)
        _to_probs(total, sets.inverse[rows].reciprocal().round(), given)
        of_label = chosen.double() @ own * inverse
        probs = None if labels is None else total * inverse.unsqueeze(-1)
        found = _predicted(total, inverse.float(), given, labels)
        found = found[0], _cross_entropy(probs, of_label, labels), *found[1:]
        for array, values in zip(losses, found, strict=True):
            array[rows] = values
    return losses


def _to_probs(
    total: Float[Tensor, "some drawn classes"], count: Float[Tensor, " some"], given: Residuals
) -> None:
    """From sums of |p - e_y| over members to sums of p, in place."""
    at = given.target.expand(total.shape[:2]).unsqueeze(-1)
    total.scatter_(-1, at, count.float().view(-1, 1, 1) - total.gather(-1, at))


def _predicted(
    total: Float[Tensor, "some drawn classes"],
    inverse: Float[Tensor, "some 1"],
    given: Residuals,
    labels: SoftLabels | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Error, confidence and excess of it."""
    if labels is not None:
        largest, predicted = total.max(dim=-1)
        chance = torch.stack([chance_of(labels.probs, row) for row in predicted])
        return (predicted != given.target).float(), largest * inverse, largest * inverse - chance
    at = given.target.expand(total.shape[:2]).unsqueeze(-1)
    own = total.gather(-1, at).squeeze(-1)
    largest = total.amax(dim=-1)
    wrong = own < largest
    tied = (total.scatter_(-1, at, -1.0).amax(dim=-1) == own).nonzero(as_tuple=True)
    for row, sample in zip(*(place.tolist() for place in tied), strict=True):
        wrong[row, sample] = total[row, sample].argmax() < given.target[sample]  # the lowest wins
    largest *= inverse
    return wrong.float(), largest, largest - (~wrong).float()


def _cross_entropy(
    probs: Float[Tensor, "some drawn classes"] | None,
    own: Float[Tensor, "some drawn"],
    labels: SoftLabels | None,
) -> Float[Tensor, "some drawn"]:
    return -own.log() if labels is None else -expected_log(probs.log(), labels)
