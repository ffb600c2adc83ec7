"""Scores of which only some classes are kept, from named arrays.

    topk_logits    (members, samples, k)
    topk_indices   class ids of the same
    topk_rest      log-sum-exp of the logits of the other classes (members, samples)
    num_classes    K, a single integer; or class_names (classes)

`bvalign/top_k.py` says which classes are to be kept. A single member needs no first axis.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bvalign.predictions.scores.held import Array
from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.names import LOGITS, PROBS, Names, shorten
from bvalign.top_k import TopK, dense

TOP_LOGITS, INDICES, REST, NUM_CLASSES = "topk_logits", "topk_indices", "topk_rest", "num_classes"
TOP = (TOP_LOGITS, INDICES, REST, NUM_CLASSES)
"""Names of the arrays."""

MOST_CLASSES = 10**8
"""Of which a member's logits of one sample still fit into memory."""


class TopScores(NamedTuple):
    """Top-k logits in their arrays."""

    shape: tuple[int, int, int]  # members, samples, classes
    kept: Callable[[Rows], TopK]
    notes: list[str]

    def take(self, rows: Rows) -> Float[Tensor, "members rows classes"]:
        """Logits of all classes; those that are not kept share the rest evenly."""
        return dense(self.kept(rows))


def has_top(arrays: Mapping[str, Array], names: Names) -> bool:
    """Tells whether the scores are top-k logits: not where there are those of all classes."""
    given = names.scores is not None or names.votes is not None
    return TOP_LOGITS in arrays and not given and arrays.keys().isdisjoint({*LOGITS, *PROBS})


def open_top(path: Path, arrays: Mapping[str, Array]) -> TopScores:
    """Opens top-k logits; `checks/top_k.py` looks at their values.

    Args:
        path: named in messages.
        arrays: of the names above, and others.

    Raises:
        ValueError: an array is missing, or has another shape or type.
    """
    missing = [name for name in (INDICES, REST) if name not in arrays]
    if missing:
        raise ValueError(f"{path}: '{TOP_LOGITS}' needs '{missing[0]}', has {shorten(arrays)}")
    logits, indices, rest = (arrays[name] for name in (TOP_LOGITS, INDICES, REST))
    shape = logits.shape
    if len(shape) not in (2, 3) or indices.shape != shape or rest.shape != shape[:-1]:
        raise ValueError(
            f"{path}: '{TOP_LOGITS}' and '{INDICES}' must be (members, samples, k) and '{REST}' "
            f"(members, samples), got {shape}, {indices.shape} and {rest.shape}"
        )
    kinds = {TOP_LOGITS: ("float", "bfloat"), INDICES: ("int", "uint"), REST: ("float", "bfloat")}
    for name, kind in kinds.items():
        if not (stored := arrays[name].dtype_name).startswith(kind):
            wanted = "integers" if name == INDICES else "floating point"
            raise ValueError(f"{path}: '{name}' must be {wanted}, got {stored}")
    num_classes, axis = _num_classes(path, arrays, shape[-1]), len(shape) - 2

    def kept(rows: Rows) -> TopK:
        parts = (array.take(rows, axis=axis) for array in (logits, indices, rest))
        return TopK(*(part if axis else part[None] for part in parts), num_classes)

    members = shape[0] if axis else 1
    coarse = rest.dtype_name
    note = f"{REST}: {coarse} rounds it, and with it every probability; save it as float64"
    return TopScores((members, shape[-2], num_classes), kept, [note] * (coarse != "float64"))


def _num_classes(path: Path, arrays: Mapping[str, Array], number: int) -> int:
    """K, which the logits that are kept do not tell."""
    if NUM_CLASSES in arrays:
        value = arrays[NUM_CLASSES].load()
        if value.size != 1 or value.dtype.kind not in "iu":
            raise ValueError(
                f"{path}: '{NUM_CLASSES}' must be one integer, got {value.dtype} {value.shape}"
            )
        found = int(value.reshape(()))
    elif "class_names" in arrays:
        found = len(arrays["class_names"].load())
    else:
        raise ValueError(
            f"{path}: '{TOP_LOGITS}' does not tell the number of classes; save it as "
            f"'{NUM_CLASSES}', as in np.savez(..., {NUM_CLASSES}=1000)"
        )
    if not max(number, 2) <= found <= MOST_CLASSES:
        raise ValueError(
            f"{path}: {number} logits are kept of {found} classes, which must be at least so many, "
            f"2 and at most {MOST_CLASSES:,}; is '{NUM_CLASSES}' right?"
        )
    if not number:
        raise ValueError(f"{path}: '{TOP_LOGITS}' keeps no logits; keep two at least")
    return np.int64(found).item()
