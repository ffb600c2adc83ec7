"""Ensembles with all logits, what is kept of them, and the true values of their statistics."""

import torch

from bvalign.analysis.calibration import gap_identity
from bvalign.analysis.decompositions import cross_entropy, decompose, moments, weighted_decompose
from bvalign.analysis.groups import left_out_variance, member_groups
from bvalign.analysis.label_free import unlabelled
from bvalign.analysis.top_k import (
    LABELLED,
    UNLABELLED,
    WEIGHTED,
    OfRange,
    labelled_bounds,
    unlabelled_bounds,
)
from bvalign.top_k import TopK, dense, join_members, keep_top


def kept(logits, number, target=None):
    """Top-k logits of all members, without that of the label where it is not given."""
    labels = [member.argmax(dim=-1) if target is None else target for member in logits]
    return join_members([keep_top(z, number, y) for z, y in zip(logits, labels, strict=True)])


def weights_of(logits):
    return list(range(1, len(logits) + 1))


def true_values(logits, target):
    """Every statistic that has bounds, from all logits."""
    weighted = weighted_decompose(logits, target, torch.tensor(weights_of(logits)))
    values = decompose(moments(logits, target), target)._asdict()
    values |= cross_entropy(logits, target)._asdict() | gap_identity(logits, target)._asdict()
    groups, left = member_groups(len(logits)).members, []
    for members in groups:
        others = [m for m in range(len(logits)) if m not in members]
        if others:
            left.append(decompose(moments(logits[others], target), target))
    if len(groups) >= 3:
        for name in ("bias_sq", "variance"):
            logs = torch.stack([getattr(value, name).log() for value in left])
            values[f"log_{name}_error"] = left_out_variance(logs).sqrt()
    values |= {f"weighted_{name}": value for name, value in weighted._asdict().items()}
    return values, unlabelled(logits)._asdict()


def bounds_of(top, target):
    """Bounds of labelled and of unlabelled statistics by name, and the counts."""
    logits = dense(top)
    values, _ = true_values(logits, target)
    corrects = (values["correct"], values["weighted_correct"])
    beside = OfRange(target, None, None, corrects, weights_of(logits))
    found = labelled_bounds(top, beside, member_groups(len(logits)))
    without = unlabelled_bounds(top)
    labelled = zip(LABELLED + WEIGHTED, found.low, found.high, strict=True)
    others = zip(UNLABELLED, without.low, without.high, strict=True)
    by_name = [{name: (low, high) for name, low, high in ends} for ends in (labelled, others)]
    return *by_name, (int(found.undecided), int(found.label_outside))


def outside(values, bounds):
    """Names of the statistics of which a value lies outside its bounds."""
    names = []
    for name, (low, high) in bounds.items():
        if name in values:
            value = values[name].double()
            if not ((low <= value) & (value <= high) | value.isnan()).all():
                names.append(name)
    return names


__all__ = ["TopK", "bounds_of", "dense", "kept", "outside", "true_values"]
