"""Base class of metrics over the members of an ensemble: states indexed by sample, and checks."""

from abc import abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor
from torchmetrics import Metric

from bvalign.analysis.decompositions.member_batch import MAX_MEMBERS, checked_batch, member_ids
from bvalign.analysis.decompositions.member_counts import check_counts


class MemberMetric(Metric):
    """Per-sample values of a data set, over all members of an ensemble.

    `update` takes the logits of some members on some samples, in any order; `compute` returns a
    NamedTuple of one tensor (samples) per value. Any split into batches, ranks or groups of members
    gives the same answer up to rounding, because partial states are merged, not merely added up.
    Call `update`, not the metric itself, which is refused: a batch of a half-seen ensemble has no
    value of its own.

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
        self,
        logits: Tensor | ndarray,
        target: Tensor | ndarray,
        index: Tensor | ndarray,
        member: Tensor | ndarray | int | None = None,
    ) -> None:
        """Adds the logits of some members on some samples, or changes nothing and raises.

        Tensors of any device and arrays of NumPy will do. Many metrics of torchmetrics take
        probabilities as well as logits and guess batch by batch which they got. A wrong guess would
        mix two kinds of numbers in one ensemble, so probabilities are refused here: pass
        `probs.log()`, whose softmax they are. They are recognised in batches of four samples or
        more.

        Args:
            logits: (members, batch, classes), or (batch, classes) of one member; any floating-point
                type. Classes at -inf have probability 0; at least one must be finite.
            target: labels (batch) or (batch, 1) in 0..K-1: any integers, booleans or whole floats.
            index: rows of the data set (batch) in 0..N-1, without repeats; any integers.
            member: global ids (members) of the members. With them, a repeated (member, sample) is
                refused; without, `compute` can only notice that counts differ.

        Raises:
            ValueError: shapes, labels or rows do not fit, a sample repeats, logits are NaN, inf or
                probabilities.
        """
        logits, target, index = checked_batch(
            logits, target, index, (self.num_samples, self.num_classes), self.target.device
        )
        members = [] if member is None else member_ids(member, len(logits))
        self._check_labels(index, target)
        self._check_members(members, index)
        rows = _rows(index)
        here = self._state_type(*(state[rows] for state in self._states()))
        extended = self.extend(here, logits, target)
        self._register(members, index)
        for state, value in zip(self._states(), extended, strict=True):
            state[rows] = value
        self.target[rows] = target

    def forward(self, *args: object, **kwargs: object) -> None:
        """Refuses to be called.

        Raises:
            ValueError: always: a batch has no value of its own.
        """
        raise ValueError(
            f"call {type(self).__name__}.update(...) instead of the metric itself; a batch has no "
            "value of its own, and compute() gives those of all members and samples"
        )

    def compute(self) -> tuple[Tensor, ...]:
        """Returns the per-sample values over everything seen, on all ranks.

        Raises:
            ValueError: a sample was counted twice for a member, or not seen by one.
        """
        state, target, seen = self._state_type(*self._states()), self.target, self._seen
        if target.ndim == 2:  # synchronised: one row per rank
            seen = None
            target = target.amax(dim=0)
            ranks = [self._state_type(*parts) for parts in zip(*state, strict=True)]
            state = ranks[0]
            for other in ranks[1:]:
                state = self.merge(state, other, target.clamp(min=0))
        check_counts(state.count, self.appearances, seen)
        return self.decompose(state, target)

    def reset(self) -> None:
        """Forgets everything seen."""
        super().reset()
        self._seen = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> "MemberMetric":
        """Moves the states; their types stay, which `bf16-true` of Lightning would change."""
        return super()._apply(lambda state: state.to(fn(state).device), *args, **kwargs)

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

    def _check_labels(self, index: Tensor, target: Tensor) -> None:
        before = self.target[index]
        other = (before >= 0) & (before != target)
        if other.any():
            raise ValueError(
                f"sample {int(index[other][0])} has label {int(target[other][0])} now and had "
                f"{int(before[other][0])} before; do the members share one order of samples?"
            )

    def _check_members(self, members: list[int], index: Tensor) -> None:
        for member in members:
            if member in self._seen and (seen := self._seen[member][index]).any():
                raise ValueError(
                    f"member {member} was counted for sample {int(index[seen][0])} before; each "
                    "member sees a sample once, and reset() starts anew"
                )

    def _register(self, members: list[int], index: Tensor) -> None:
        for member in members:
            if member not in self._seen:
                self._seen[member] = torch.zeros_like(self.target, dtype=torch.bool)
            self._seen[member][index] = True
            self.appearances[member] += len(index)


def _rows(index: Tensor) -> Tensor | slice:
    """The same rows as a slice if they follow each other, which saves copies."""
    if len(index) and (index.diff() == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index
