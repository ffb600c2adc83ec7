"""Bounds of what top-k logits leave open: statistics of each sample, and their means."""

from bvalign.analysis.top_k.bounds import (
    LABELLED,
    UNLABELLED,
    WEIGHTED,
    Bounds,
    Given,
    labelled_bounds,
    unlabelled_bounds,
)

__all__ = [
    "LABELLED",
    "UNLABELLED",
    "WEIGHTED",
    "Bounds",
    "Given",
    "labelled_bounds",
    "unlabelled_bounds",
]
