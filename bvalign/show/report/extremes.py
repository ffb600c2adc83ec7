"""Which samples a reader should see first: most biased, most variable, furthest off the line."""

from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
    """What samples are sorted by, the largest size first; NaN where it is undefined."""

    bias_sq: np.ndarray  # (samples)
    variance: np.ndarray  # (samples)
    off_line: np.ndarray  # of `distance_to_line` (samples)


def distance_to_line(
    bias_sq: np.ndarray,
    variance: np.ndarray,
    correct: np.ndarray,
    line: tuple[float, float] | None,
) -> np.ndarray:
    """How far log variance lies above a fitted line, natural logarithms (samples).

    Args:
        bias_sq: the values that the line was fitted on (samples).
        variance: (samples).
        correct: the line is one of correct samples, so the others are NaN (samples).
        line: slope and intercept; without a line all are NaN.
    """
    distance = np.full(len(bias_sq), np.nan)
    if line is not None:
        slope, intercept = line
        kept = correct & (bias_sq > 0) & (variance > 0)
        distance[kept] = np.log(variance[kept]) - intercept - slope * np.log(bias_sq[kept])
    return distance


def largest(score: np.ndarray, number: int) -> np.ndarray:
    """Positions of the largest values, falling, NaN left out."""
    order = np.argsort(-score, kind="stable")  # NaN comes last
    return order[: min(number, int(np.isfinite(score).sum()))]


def extremes_first(scores: Scores) -> np.ndarray:
    """All samples, by the best rank that any score gives them (samples)."""
    ranks = np.full((len(scores), len(scores.bias_sq)), len(scores.bias_sq))
    for rank, score in zip(ranks, scores, strict=True):
        found = largest(np.abs(score), len(score))
        rank[found] = np.arange(len(found))
    return np.argsort(ranks.min(axis=0), kind="stable")
