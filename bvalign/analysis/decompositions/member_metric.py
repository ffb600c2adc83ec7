"""Base class of metrics over the members of an ensemble: states indexed by sample, and checks."""

from abc import abstractmethod
from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor
from torchmetrics import Metric

MAX_MEMBERS = 65536
"""Bound on member ids: appearances are counted in a dense state, which ranks can add up."""


class MemberMetric(Metric):
    """Per-sample values of a data set, over all members of an ensemble.

    `update` takes the logits of some members on some samples, in any order; `compute` returns a
    NamedTuple of one tensor (samples) per value. Any split into batches, ranks or groups of members
    gives the same answer up to rounding, because partial states are merged, not merely added up.
    Call `update`, not the metric itself: a per-batch value of a half-seen ensemble is meaningless.

    States are indexed by sample, so the order of batches does not matter. Those of the subclass
    (the fields of `empty`) and `target` (samples) are stacked over ranks and merged in `compute`;
    `appearances` (members, 0.5 MB) is summed. One more byte per member and sample detects repeats.

    Args:
        num_samples: size N of the data set.
        num_classes: K.
        **kwargs: passed to torchmetrics.Metric.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    target: Tensor
    appearances: Tensor

    def __init__(self, num_samples: int, num_classes: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if num_samples < 1 or num_classes < 2:
            raise ValueError(
                f"{type(self).__name__} needs num_samples >= 1 and num_classes >= 2, got "
                f"{num_samples} and {num_classes}"
            )
        self.num_samples, self.num_classes = num_samples, num_classes
        self._state_type = type(empty := self.empty())
        for name, value in empty._asdict().items():
            self.add_state(name, value, dist_reduce_fx=None)
        unknown = torch.full((num_samples,), -1, dtype=torch.int64)
        self.add_state("target", unknown, dist_reduce_fx=None)
        seen_by = torch.zeros(MAX_MEMBERS, dtype=torch.int64)
        self.add_state("appearances", seen_by, dist_reduce_fx="sum")
        self._seen: dict[int, Tensor] = {}

    @abstractmethod
    def empty(self) -> tuple[Tensor, ...]:
        """State before any member is seen; its first field is `count` (samples)."""

    @abstractmethod
    def moments(self, logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """State of a block of members on a batch of samples."""

    @abstractmethod
    def merge(
        self, a: tuple[Tensor, ...], b: tuple[Tensor, ...], target: Tensor
    ) -> tuple[Tensor, ...]:
        """State of the union of two disjoint sets of members."""

    def extend(self, state: tuple[Tensor, ...], logits: Tensor, target: Tensor) -> tuple:
        """State with a block of members added on a batch of samples."""
        return self.merge(state, self.moments(logits, target), target)

    @abstractmethod
    def decompose(self, state: tuple[Tensor, ...], target: Tensor) -> tuple[Tensor, ...]:
        """Per-sample values of a state."""

    def update(
        self, logits: Tensor, target: Tensor, index: Tensor, member: Tensor | int | None = None
    ) -> None:
        """Adds the logits of some members on some samples.

        Args:
            logits: (members, batch, classes), or (batch, classes) of one member; any float type.
            target: labels (batch), int64 in 0..K-1.
            index: rows of the data set (batch), int64 in 0..N-1, without repeats.
            member: global ids (members) of the members. With them, a repeated (member, sample) is
                refused; without, `compute` can only notice that counts differ.

        Raises:
            ValueError: shapes, labels or rows do not fit, a sample repeats, logits are NaN or inf.
        """
        logits = logits.detach()
        logits = logits.unsqueeze(0) if logits.ndim == 2 else logits
        self._check(logits, target, index)
        if member is not None:
            self._register(torch.as_tensor(member).flatten().tolist(), len(logits), index)
        rows = _rows(index)
        here = self._state_type(*(state[rows] for state in self._states()))
        extended = self.extend(here, logits, target)
        for state, value in zip(self._states(), extended, strict=True):
            state[rows] = value
        self.target[rows] = target

    def compute(self) -> tuple[Tensor, ...]:
        """Returns the per-sample values over everything seen, on all ranks.

        Raises:
            ValueError: a sample was not seen, or not by as many members as the others.
        """
        state, target = self._state_type(*self._states()), self.target
        if target.ndim == 2:  # synchronised: one row per rank
            target = target.amax(dim=0)
            ranks = [self._state_type(*parts) for parts in zip(*state, strict=True)]
            state = ranks[0]
            for other in ranks[1:]:
                state = self.merge(state, other, target.clamp(min=0))
        self._check_counts(state.count)
        return self.decompose(state, target)

    def reset(self) -> None:
        """Forgets everything seen."""
        super().reset()
        self._seen = {}

    def _wrap_compute(
        self, compute: Callable[[], tuple[Tensor, ...]]
    ) -> Callable[[], tuple[Tensor, ...]]:
        """Keeps the axis of a single sample, which torchmetrics squeezes from (1,) to ()."""
        wrapped = super()._wrap_compute(compute)

        @wraps(compute)
        def with_axis() -> tuple[Tensor, ...]:
            values = wrapped()
            return type(values)(*(value.reshape(self.num_samples) for value in values))

        return with_axis

    def _states(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, name) for name in self._state_type._fields)

    def _check(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        batch = len(index)
        if logits.shape[1:] != (batch, self.num_classes) or target.shape != (batch,):
            raise ValueError(
                f"logits must have axes (members, batch, classes) with {self.num_classes} classes, "
                f"target and index (batch), got {tuple(logits.shape)}, {tuple(target.shape)} and "
                f"{tuple(index.shape)}; is the head built for this data set?"
            )
        if batch and not 0 <= int(index.min()) <= int(index.max()) < self.num_samples:
            raise ValueError(
                f"index must lie in 0..{self.num_samples - 1}, got {int(index.min())}.."
                f"{int(index.max())}; num_samples is the size of the whole data set"
            )
        if batch and not 0 <= int(target.min()) <= int(target.max()) < self.num_classes:
            raise ValueError(
                f"labels must lie in 0..{self.num_classes - 1}, got {int(target.min())}.."
                f"{int(target.max())}"
            )
        if (index.diff() <= 0).any() and len(index.unique()) < batch:
            values, counts = index.unique(return_counts=True)
            raise ValueError(
                f"sample {int(values[counts > 1][0])} comes twice in one batch; pad nothing, or "
                "drop what a distributed sampler repeats"
            )
        # one sum tells that all are finite, unless it overflows
        bad = None if logits.sum(dtype=torch.float64).isfinite() else _non_finite(logits)
        if bad is not None and bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"logits of member {row} of this batch are NaN or inf for {int(bad[row])} of "
                f"{batch} samples; leave that member out"
            )
        before = self.target[index]
        other = (before >= 0) & (before != target)
        if other.any():
            raise ValueError(
                f"sample {int(index[other][0])} has label {int(target[other][0])} now and had "
                f"{int(before[other][0])} before; do the members share one order of samples?"
            )

    def _register(self, members: list[int], num_members: int, index: Tensor) -> None:
        if len(members) != num_members or len(set(members)) != num_members:
            raise ValueError(f"member must name {num_members} different members, got {members}")
        for member in members:
            if not 0 <= member < MAX_MEMBERS:
                raise ValueError(f"member ids must lie in 0..{MAX_MEMBERS - 1}, got {member}")
            blank = torch.zeros(self.num_samples, dtype=torch.bool, device=index.device)
            seen = self._seen.setdefault(member, blank)
            if seen[index].any():
                sample = int(index[seen[index]][0])
                raise ValueError(f"member {member} was counted for sample {sample} before")
        for member in members:
            self._seen[member][index] = True
            self.appearances[member] += len(index)

    def _check_counts(self, count: Tensor) -> None:
        most = int(count.max())
        short = torch.nonzero(count != most).flatten()
        if most == 0 or len(short):
            some = ", ".join(f"{int(i)} ({int(count[i])})" for i in short[:5])
            raise ValueError(
                f"every sample must be seen by the same members; {len(short)} of "
                f"{self.num_samples} samples were seen by fewer than {most}: {some or 'all'}"
            )
        repeated = torch.nonzero(self.appearances > self.num_samples).flatten()
        if len(repeated):
            raise ValueError(
                f"member {int(repeated[0])} was counted {int(self.appearances[repeated[0]])} times "
                f"for {self.num_samples} samples; do two ranks evaluate the same samples?"
            )


def _rows(index: Tensor) -> Tensor | slice:
    """The same rows as a slice if they follow each other, which saves copies."""
    if len(index) and (index.diff() == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _non_finite(logits: Tensor) -> Tensor:
    """Samples (members) with NaN or inf."""
    return (~logits.isfinite()).any(dim=-1).sum(dim=1)
