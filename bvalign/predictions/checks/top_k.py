"""Checks of top-k logits: classes, and the rest that the other classes leave room for."""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from bvalign.predictions.predictions import name_members
from bvalign.predictions.scores.scores import Scores
from bvalign.top_k import TopK, bound_of_others

TOLERANCE = 8.0
"""Units of rounding by which the rest may be larger than it can be."""


def checked_top(scores: Scores) -> Scores:
    """Checks all samples of scores that are top-k logits; others stay as they are.

    Raises:
        ValueError: classes are out of range or twice in a row, the rest is no number or larger than
            the other classes allow, or samples have different numbers of classes.
    """
    if scores.kept is None:
        return scores
    if scores.num_options is not None:
        raise ValueError(
            f"{scores.path}: top-k logits cannot have 'num_options'; save the logits of all classes"
        )
    counts: dict[str, Tensor] = {}
    for rows in scores.blocks():
        for what, wrong in _faults(scores.kept(rows)).items():
            counts[what] = counts.get(what, 0) + wrong.sum(dim=1)
    ids = range(scores.shape[0]) if scores.members is None else scores.members.tolist()
    for what, number in counts.items():
        if number.any():
            raise ValueError(f"{scores.path}: {what}: {name_members(ids, number, scores.shape[1])}")
    every = scores.kept(slice(0, 1)).num_others == 0
    return replace(scores, kept=None) if every else scores


def _faults(top: TopK) -> dict[str, Bool[Tensor, "members samples"]]:
    """What may be wrong, and with which rows it is."""
    indices, rest, others = top.indices.long(), top.rest.double(), top.num_others
    ordered = indices.sort(dim=-1).values
    logits = top.logits.double()
    most = bound_of_others(logits)
    room = most + math.log(others) if others else torch.full_like(rest, -torch.inf)
    slack = TOLERANCE * _unit(top) * (most.abs() + rest.abs()).nan_to_num(posinf=0.0)
    none = "there are no other classes, so 'topk_rest' must be -inf"
    many = (
        f"'topk_rest' must be the log-sum-exp of the other {others} classes, each at most the "
        "second smallest of 'topk_logits', but is larger"
    )
    return {
        f"'topk_indices' must be class ids in 0..{top.num_classes - 1}": (
            (indices < 0) | (indices >= top.num_classes)
        ).any(dim=-1),
        "'topk_indices' must be different classes, has one twice": (
            ordered[..., 1:] == ordered[..., :-1]
        ).any(dim=-1),
        "'topk_logits' must be numbers, got NaN or inf": (
            logits.isnan() | (logits == torch.inf)
        ).any(dim=-1),
        "'topk_rest' must be a number or -inf, got NaN or inf": rest.isnan() | (rest == torch.inf),
        many if others else none: rest > room + slack,
    }


def _unit(top: TopK) -> float:
    """Coarsest rounding of what is stored."""
    return max(torch.finfo(values.dtype).eps for values in (top.logits, top.rest))
