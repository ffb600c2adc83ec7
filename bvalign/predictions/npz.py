"""Anybody's predictions from a `.npz`, checked before anything is computed."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from bvalign.predictions.table import Predictions

PROBABILITY_TOLERANCE = 1e-3
"""How far probabilities may be from summing to one: float16 softmax over 1000 classes is within."""


def open_npz(path: Path) -> Predictions:
    """Reads predictions from a `.npz`.

    Args:
        path: holds `logits` or `probs` (members, samples, classes), `labels` (samples), optionally
            `index` (samples) and `members` (members).

    Raises:
        ValueError: an array is missing, has the wrong shape or values, or the file is damaged.
    """
    arrays = _load(path)
    key = next((key for key in ("logits", "probs") if key in arrays), None)
    if key is None:
        raise ValueError(
            f"{path}: needs an array 'logits' or 'probs' (members, samples, classes), has "
            f"{', '.join(arrays) or 'none'}"
        )
    if "labels" not in arrays:
        raise ValueError(f"{path}: needs an array 'labels' (samples); bias is measured against it")
    scores, labels = arrays[key], arrays["labels"]
    if scores.ndim != 3 or labels.shape != scores.shape[1:2]:
        raise ValueError(
            f"{path}: '{key}' must be (members, samples, classes) and 'labels' (samples), got "
            f"{scores.shape} and {labels.shape}"
        )
    num_members, num_samples, num_classes = scores.shape
    if not num_members or not num_samples or num_classes < 2:
        raise ValueError(
            f"{path}: needs at least one member, one sample and two classes, got {scores.shape}"
        )
    if scores.dtype.kind != "f":
        raise ValueError(f"{path}: '{key}' must be floating point, got {scores.dtype}")
    _check_labels(path, labels, num_classes)
    index = _ids(path, arrays, "index", num_samples)
    members = _ids(path, arrays, "members", num_members)
    order = np.argsort(index, kind="stable")
    scores = np.ascontiguousarray(scores[:, order])
    table = torch.from_numpy(_log_probs(path, scores) if key == "probs" else scores)
    return Predictions(
        read=lambda start, stop: table[:, start:stop],
        target=labels[order].astype(np.int64),
        index=index[order],
        members=tuple(members.tolist()),
        num_classes=num_classes,
        notes=_precision_notes(key, scores),
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise ValueError("it is a single array")
            return {key: arrays[key] for key in arrays.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        cause = "it holds pickled objects" if "pickle" in str(error) else str(error)
        raise ValueError(f"{path}: not a whole .npz of plain arrays ({cause})") from error


def _check_labels(path: Path, labels: np.ndarray, num_classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: 'labels' must be integers, got {labels.dtype}")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise ValueError(
            f"{path}: labels must lie in 0..{num_classes - 1}, but {len(outside)} do not, the "
            f"first is {labels[outside[0]]} at row {outside[0]}"
        )


def _ids(path: Path, arrays: dict[str, np.ndarray], key: str, length: int) -> np.ndarray:
    ids = arrays.get(key, np.arange(length))
    if ids.shape != (length,) or ids.dtype.kind not in "iu" or len(np.unique(ids)) < length:
        raise ValueError(f"{path}: '{key}' must be {length} different integers, got {ids}")
    return ids.astype(np.int64)


def _log_probs(path: Path, probs: np.ndarray) -> np.ndarray:
    """Logits whose softmax is `probs`; a probability of zero becomes minus infinity."""
    probs = probs.astype(np.float64)
    total = probs.sum(axis=-1)
    bad = ~(np.abs(total - 1) < PROBABILITY_TOLERANCE) | (probs < 0).any(axis=-1)
    if bad.any():
        member, sample = np.argwhere(bad)[0]
        raise ValueError(
            f"{path}: 'probs' must be at least 0 and sum to one over classes, but {bad.sum()} rows "
            f"do not; the first is member {member}, sample {sample}, sum "
            f"{total[member, sample]:.6g}"
        )
    with np.errstate(divide="ignore"):
        return np.log(probs)


def _precision_notes(key: str, scores: np.ndarray) -> tuple[str, ...]:
    """Says how many samples lost digits before they came here."""
    if key == "probs":
        saturated = int((scores.max(axis=-1) == 1).any(axis=0).sum())
        if saturated:
            return (
                f"probs: {saturated} of {scores.shape[1]} samples have a probability rounded to "
                "one; their bias and variance are only as good as the small entries: save logits",
            )
    if scores.dtype.itemsize < 4:
        return (f"{key}: {scores.dtype} costs digits of confident samples; save float32 logits",)
    return ()
