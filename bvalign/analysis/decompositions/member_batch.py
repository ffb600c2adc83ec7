"""Checks of what a loop of any kind hands to a metric over members."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

MAX_MEMBERS = 65536
"""Bound on member ids: appearances are counted in a dense state, which ranks can add up."""

PROBABILITY_ROWS = 4
"""Rows of a member that tell probabilities from logits: of two classes, logits of one sample are at
least 0 and sum to one within 1e-4 once in 100,000 times, those of four samples never."""


class Batch(NamedTuple):
    """Scores of some members on some samples, on the metric's device."""

    logits: Float[Tensor, "members batch classes"]
    target: Int64[Tensor, " batch"]
    index: Int64[Tensor, " batch"]


def checked_batch(
    logits: object,
    target: object,
    index: object,
    size: tuple[int, int],
    device: torch.device,
) -> Batch:
    """Checks a batch by itself and brings it to one form.

    Args:
        logits: (members, batch, classes) or (batch, classes), any floating-point type.
        target: class ids (batch) or (batch, 1), any integers, booleans or whole floats.
        index: rows of the data set, like target but not boolean.
        size: samples and classes of the data set.
        device: of the metric.

    Raises:
        ValueError: something does not fit; the message says what.
    """
    num_samples, num_classes = size
    logits = _tensor("logits", logits, device).detach()
    logits = logits.unsqueeze(0) if logits.ndim == 2 else logits
    target, index = _ids("target", target, device), _ids("index", index, device)
    batch = len(index) if index.ndim else -1
    if logits.shape[1:] != (batch, num_classes) or not target.shape == index.shape == (batch,):
        one_hot = "; of one-hot labels pass target.argmax(dim=1)" if target.ndim == 2 else ""
        raise ValueError(
            f"logits must have axes (members, batch, classes) with {num_classes} classes, "
            f"target and index (batch), got {tuple(logits.shape)}, {tuple(target.shape)} and "
            f"{tuple(index.shape)}; is the head built for this data set?{one_hot}"
        )
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, got {logits.dtype}")
    if batch:
        _check_range("index", index, num_samples, "; num_samples is the size of the whole data set")
        _check_range("labels", target, num_classes, "")
        _check_unique(index)
        _check_logits(logits)
    return Batch(logits, target, index)


def member_ids(member: object, num_members: int) -> list[int]:
    """Global ids of the members of a batch.

    Raises:
        ValueError: they are not as many different integers from 0 to MAX_MEMBERS - 1.
    """
    ids = np.asarray(member.cpu() if isinstance(member, Tensor) else member)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"member ids must be integers, got {member!r}")
    members = ids.flatten().tolist()
    if len(members) != num_members or len(set(members)) != num_members:
        raise ValueError(f"member must name {num_members} different members, got {members}")
    for member in members:
        if not 0 <= member < MAX_MEMBERS:
            raise ValueError(f"member ids must lie in 0..{MAX_MEMBERS - 1}, got {member}")
    return members


def _tensor(name: str, values: object, device: torch.device) -> Tensor:
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        # a copy in the machine's byte order: torch refuses others, and warns of read-only arrays
        values = torch.from_numpy(np.array(values, dtype=values.dtype.newbyteorder("=")))
    if not isinstance(values, Tensor):
        what = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else type(values)
        what = what if isinstance(what, str) else what.__name__
        raise ValueError(f"{name} must be a tensor or an array of numbers, got {what}")
    return values.to(device)


def _ids(name: str, values: object, device: torch.device) -> Tensor:
    """Integers (batch) from any whole numbers (batch) or (batch, 1)."""
    ids = _tensor(name, values, device)
    if ids.dtype == torch.int64 and ids.ndim == 1:
        return ids
    if ids.is_floating_point():
        broken = ids != ids.round()
        if broken.any():
            raise ValueError(f"{name} must be whole numbers, got {float(ids[broken][0])}")
    if name == "index" and ids.dtype == torch.bool:
        raise ValueError("index must be rows of the data set, got booleans; use mask.nonzero()")
    return (ids.squeeze(1) if ids.ndim == 2 and ids.shape[1] == 1 else ids).long()


def _check_range(name: str, ids: Int64[Tensor, " batch"], stop: int, hint: str) -> None:
    low, high = (int(end) for end in ids.aminmax())
    if not 0 <= low <= high < stop:
        raise ValueError(f"{name} must lie in 0..{stop - 1}, got {low}..{high}{hint}")


def _check_unique(index: Int64[Tensor, " batch"]) -> None:
    if (index.diff() <= 0).any() and len(index.unique()) < len(index):
        values, counts = index.unique(return_counts=True)
        raise ValueError(
            f"sample {int(values[counts > 1][0])} comes twice in one batch; pad nothing, or "
            "drop what a distributed sampler repeats"
        )


def _check_logits(logits: Float[Tensor, "members batch classes"]) -> None:
    # one sum tells that all are finite, unless it overflows
    bad = None if logits.sum(dtype=torch.float64).isfinite() else _undefined(logits)
    if bad is not None and bad.any():
        row = int(bad.any(dim=1).nonzero()[0])
        raise ValueError(
            f"logits of member {row} of this batch are NaN or inf for {int(bad[row].sum())} of "
            f"{logits.shape[1]} samples; leave that member out"
        )
    if logits.shape[1] < PROBABILITY_ROWS:
        return
    tolerance = max(1e-4, torch.finfo(logits.dtype).eps)
    for row, first in enumerate(logits[:, 0].sum(dim=-1).tolist()):
        if abs(first - 1) < tolerance and _are_probs(logits[row], tolerance):
            raise ValueError(
                f"logits of member {row} of this batch are probabilities: all {logits.shape[1]} "
                "rows are at least 0 and sum to one; pass logits, or probs.log()"
            )


def _undefined(
    logits: Float[Tensor, "members batch classes"],
) -> Bool[Tensor, "members batch"]:
    """Marks where the softmax is undefined; some classes at minus infinity are fine."""
    return ~logits.amax(dim=-1).isfinite()  # NaN if one is; -inf if all are


def _are_probs(scores: Float[Tensor, "batch classes"], tolerance: float) -> bool:
    off = (scores.double().sum(dim=-1) - 1).abs()
    return bool((off < tolerance).all() and (scores >= 0).all())
