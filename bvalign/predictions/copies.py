"""Members that are copies of other members, which would count as no variance.

Two members are the same if one constant per sample takes the logits of one to those of the other,
as softmax does not see it: z_k + c is z'_k for all classes k, up to the rounding of both. Samples
are compared range by range until all members differ, which most do on the first samples.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.predictions.predictions import Predictions

PROBED = 8
"""Numbers of the first samples that tell most members apart."""

Originals = dict[int, int]
"""Position of a copy -> position of the first member that it is a copy of."""


def without_copies(predictions: Predictions, dtypes: Sequence[str]) -> Predictions:
    """Leaves out copies, with a note that names them.

    Args:
        predictions: of all members.
        dtypes: names of the number types in which they are stored.
    """
    copies, exact = _copies(predictions, _unit(dtypes))
    if not copies:
        return predictions
    names, weights = predictions.members, predictions.weights
    kept = [place for place in range(len(names)) if place not in copies]
    if weights is not None:  # a copy adds its weight to its original
        total = list(weights)
        for copy, original in copies.items():
            total[original] += weights[copy]
        weights = tuple(total[place] for place in kept)
    kinds = {
        "exact copies": [copy for copy in copies if copy in exact],
        "the same probabilities up to rounding": [copy for copy in copies if copy not in exact],
    }
    notes = (
        f"left out, {kind}: "
        + ", ".join(f"member {names[copy]} of {names[copies[copy]]}" for copy in found)
        for kind, found in kinds.items()
        if found
    )
    return replace(
        predictions,
        weights=weights,
        read=lambda start, stop: predictions.read(start, stop)[kept],
        kept=predictions.kept and (lambda *rows: predictions.kept(*rows).of_members(kept)),
        members=tuple(names[place] for place in kept),
        notes=(*predictions.notes, *notes),
    )


def _unit(dtypes: Sequence[str]) -> float:
    """Bound of the relative error of a logit; of 32 bits and more it may be rounded twice."""
    infos = [torch.finfo(getattr(torch, name, torch.float64)) for name in dtypes]
    return max(info.eps / 2 if info.bits < 32 else info.eps for info in infos)


def _copies(predictions: Predictions, unit: float) -> tuple[Originals, set[int]]:
    """Finds the copies, and those of them whose logits are equal; stops once all members differ."""
    originals = [0] * len(predictions.members)
    equal = set(range(len(originals)))
    for start in range(0, predictions.num_samples, predictions.samples_per_range):
        stop = min(start + predictions.samples_per_range, predictions.num_samples)
        logits = predictions.read(start, stop).double()
        classes = min(PROBED, logits.shape[-1])
        probe = logits[:, : max(1, PROBED // classes), :classes]
        different: dict[int, list[int]] = {}
        found = []
        for place, original in enumerate(originals):
            others = different.setdefault(original, [])
            near = torch.nonzero(_same(probe[others], probe[place], unit).all(dim=-1)).flatten()
            candidates = (others[at] for at in near.tolist())
            first = next(
                (m for m in candidates if _same(logits[m], logits[place], unit).all()), place
            )
            if first == place:
                others.append(place)
            elif not torch.equal(logits[first], logits[place]):
                equal.discard(place)
            found.append(first)
        originals = found
        if sum(map(len, different.values())) == len(originals):
            break
    copies = {place: first for place, first in enumerate(originals) if place != first}
    return copies, equal


def _same(
    a: Float[Tensor, "*members samples classes"],
    b: Float[Tensor, "samples classes"],
    unit: float,
) -> Bool[Tensor, "*members samples"]:
    """Tells for which samples some constant lies within the rounding of all differences."""
    excluded = (a == -torch.inf) & (b == -torch.inf)
    difference = (a - b).where(~excluded, 0.0)
    slack = (unit * (a.abs() + b.abs() + 2)).where(~excluded, torch.inf)
    low, high = (difference - slack).amax(dim=-1), (difference + slack).amin(dim=-1)
    return low <= high  # not where one of them is infinite: both ends are, or NaN
