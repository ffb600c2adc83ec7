"""Scores from what Python holds: tensors, arrays, dicts and lists, as .pt, .json and users bring.

tensor or array                     (members, samples, classes)
{"logits": ..., "labels": ...}      named arrays
{"seed0": {"logits": ...}, ...}     named arrays of each member
[{"logits": ...}, ...]              batches of samples, as Trainer.predict returns them
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.held import Array, held
from bvalign.predictions.scores.names import LABEL, Names, shorten
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.scores.stack import stack_members


def scores_of_object(path: Path, source: object, names: Names) -> Scores:
    """Finds the scores in an object.

    Args:
        path: named in messages.
        source: as above.
        names: given by the user.

    Raises:
        ValueError: it is nothing of the above, or its parts do not fit together.
    """
    if isinstance(source, Mapping):
        if source and all(isinstance(value, Mapping) for value in source.values()):
            one = replace(names, one_member=True)
            parts = {str(n): scores_of_object(path, value, one) for n, value in source.items()}
            return stack_members(path, parts, {})
        return scores_of_arrays(path, _arrays(path, source), names)
    if isinstance(source, Tensor | np.ndarray):
        return scores_of_arrays(path, {"scores": held(source)}, names)
    if isinstance(source, Sequence) and source and not isinstance(source, str):
        return _of_list(path, source, names)
    raise ValueError(
        f"{path}: needs a tensor, or a dict with 'logits', 'probs' or 'votes' and perhaps "
        f"'labels', got {type(source).__name__}"
    )


def _arrays(path: Path, source: Mapping[object, object]) -> dict[str, Array]:
    """Wraps the values of a dict, lists of batches or members joined; leaves others out."""
    labels = [v for n, v in source.items() if str(n).lower() in LABEL and _has_rows(v)]
    found = {}
    for name, value in source.items():
        if isinstance(value, list | tuple) and value and all(map(_has_rows, value)):
            of_members = bool(labels) and len(value[0]) == len(labels[0])
            value = _joined(path, value, of_members=of_members)
        try:
            found[str(name)] = held(value)
        except ValueError as error:
            if isinstance(value, Tensor | np.ndarray | list | tuple):
                raise ValueError(f"{path}: '{name}' {error}") from error
    return found


def _of_list(path: Path, source: Sequence[object], names: Names) -> Scores:
    if all(isinstance(value, Mapping) for value in source):
        arrays = [key for key, value in source[0].items() if _has_rows(value)]
        if not any(source[0][key].ndim > 1 for key in arrays) and len(arrays) < len(source[0]):
            from bvalign.predictions.tables.jsonl import open_records  # pyarrow, where needed

            return open_records(path, source, names)
        keys = [key for key in arrays if all(_has_rows(batch.get(key)) for batch in source)]
        joined = {key: _joined(path, [batch[key] for batch in source]) for key in keys}
        scores = scores_of_arrays(path, _arrays(path, joined), replace(names, one_member=True))
        unused = [str(key) for key in source[0] if key not in keys]
        notes = [f"not used: {', '.join(unused)}"] if unused else []
        return replace(scores, notes=(*scores.notes, *notes))
    if all(isinstance(value, Tensor | np.ndarray) for value in source):
        shapes = {tuple(value.shape) for value in source}
        if len(shapes) == 1 and len(source) > 1 and not names.one_member:
            raise ValueError(
                f"{path}: a list of {len(source)} arrays {shapes.pop()} may be members or batches; "
                "save torch.stack(members), or torch.cat(batches)[None] of one member"
            )
        joined = _joined(path, source)
        return scores_of_arrays(path, {"scores": held(joined)}, replace(names, one_member=True))
    return scores_of_arrays(path, _arrays(path, {"scores": source}), names)


def _joined(path: Path, parts: Sequence[object], *, of_members: bool = False) -> Tensor:
    """Joins arrays of batches or, along an axis of their own, of members."""
    tensors = [torch.as_tensor(part) for part in parts]
    rest = {tuple(part.shape[not of_members :]) for part in tensors}
    if len(rest) > 1 or not all(part.ndim for part in tensors):
        shapes = shorten([tuple(part.shape) for part in tensors], 3)
        raise ValueError(
            f"{path}: arrays of shapes {shapes} are neither batches (samples, ...) nor members; "
            "give a dict as in {'logits': ..., 'labels': ...}"
        )
    return torch.stack(tensors) if of_members else torch.cat(tensors)


def _has_rows(value: object) -> bool:
    """Tells an array of samples from a number or a name."""
    return isinstance(value, Tensor | np.ndarray) and value.ndim > 0
