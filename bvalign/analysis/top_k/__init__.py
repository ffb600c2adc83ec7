"""Bounds of what top-k logits leave open: statistics of each sample, and their means."""

from bvalign.analysis.top_k.bounds import (
    LABELLED,
    UNLABELLED,
    WEIGHTED,
    Bounds,
    OfRange,
    labelled_bounds,
    unlabelled_bounds,
)
from bvalign.analysis.top_k.left_open import LeftOpen, left_open

__all__ = [
    "LABELLED",
    "UNLABELLED",
    "WEIGHTED",
    "Bounds",
    "LeftOpen",
    "OfRange",
    "labelled_bounds",
    "left_open",
    "unlabelled_bounds",
]
