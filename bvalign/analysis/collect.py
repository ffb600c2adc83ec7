"""One pass over blocks of samples: everything that needs all members' logits of a sample."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.calibration_summary import choose_held_out
from bvalign.analysis.columns import Columns
from bvalign.analysis.design import Design
from bvalign.analysis.disagreement import pair_disagreement
from bvalign.analysis.gap import uncertainty_sum
from bvalign.analysis.losses import cross_entropy, vote_counts
from bvalign.analysis.statistics import moments
from bvalign.analysis.subsets import subset_values
from bvalign.analysis.weights import weighted_decompose


def collect(
    blocks: Iterable[tuple[Tensor, Tensor | None]],
    plan: Design,
    num_samples: int,
    position: int,
    weights: Sequence[float] | None,
) -> tuple[Columns, Float[Tensor, " members"], Float[Tensor, "members members"]]:
    """What is computed block by block, how often members are right and how often pairs differ.

    Args:
        blocks: logits (members, block, classes) and labels (block) of successive samples.
        plan: the subsets of the members.
        num_samples: N, of all processes.
        position: of the first block.
        weights: of the members, for the column `weighted`, or None.

    Raises:
        ValueError: there are no labels.
    """
    columns, num_members = Columns(num_samples), plan.subsets.shape[1]
    hits = torch.zeros(num_members, dtype=torch.float64)
    differ = torch.zeros(num_members, num_members, dtype=torch.float64)
    chosen = None
    for (logits, target), found in _two_at_a_time(partial(_block, plan, weights), blocks):
        if chosen is None:
            chosen = choose_held_out(num_samples, *logits.shape[::2])
        here = chosen[position : position + len(target)]
        kept = (logits[:, here].transpose(0, 1), target[here])
        columns.put("held_out", kept, int(chosen[:position].sum()), length=int(chosen.sum()))
        hits += found.pop("hits")
        differ += found.pop("differ")
        for key, value in found.items():
            columns.put(key, value, position, axis=int(key in ("subsets", "errors")))
        position += len(target)
    return columns, hits, differ


def _block(
    plan: Design, weights: Sequence[float] | None, logits: Tensor, target: Tensor | None
) -> dict[str, Tensor | tuple[Tensor, ...]]:
    """All that is computed of a block of samples; what is summed over samples comes first."""
    if target is None:
        raise ValueError(
            "bias and risk are measured against labels, got predictions without; use "
            "analyze_unlabelled for what can be said without them"
        )
    votes = logits.argmax(dim=-1)
    values = subset_values(logits, target, plan.sums, plan.error_rows)
    found = {
        "hits": (votes == target).sum(dim=1),
        "differ": pair_disagreement(votes),
        "target": target,
        "counts": vote_counts(votes, logits.shape[-1]),
        "state": moments(logits, target),
        "uncertainty_sum": uncertainty_sum(logits),
        "cross_entropy": cross_entropy(logits, target),
        "subsets": values[:3],
        "errors": values.log_errors,
    }
    if weights is not None:
        found["weighted"] = weighted_decompose(logits, target, torch.tensor(weights).double())
    return found


def _two_at_a_time(compute: Callable, blocks: Iterable[tuple]) -> Iterator[tuple]:
    """Each block with its result, in order. A block is many short operations, which alone leave
    a core idle: two take three quarters of the time.
    """
    with ThreadPoolExecutor(2) as pool:
        waiting = deque()
        for block in blocks:
            waiting.append((block, pool.submit(compute, *block)))
            if len(waiting) > 2:
                block, result = waiting.popleft()
                yield block, result.result()
        for block, result in waiting:
            yield block, result.result()
