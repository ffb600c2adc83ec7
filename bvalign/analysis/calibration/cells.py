"""Cells of samples with about the same prediction, under five notions of calibration.

Symbols: p in R^K is a sample's predicted probabilities (for an ensemble, the mean p̄ of its
members), y its label, e_y the one-hot label, r = p - e_y the residual, or its mean p - q where the
label has a distribution q (soft labels), c = max_k p_k the confidence. Samples with about the same
prediction form a cell, and predictions are calibrated if every cell's mean residual is zero in
expectation. The notions differ in which predictions count as the same; the first implies all
others, class_wise implies class_aggregated, and top_label implies confidence:

    canonical         all K probabilities
    class_wise        p_k, for each class k separately           (Zadrozny & Elkan 2002)
    class_aggregated  p_k, with pairs (sample, k) of all classes pooled  (Jiang et al. 2022)
    top_label         the predicted class and c                  (Gupta & Ramdas 2022)
    confidence        c alone                                    (Guo et al. 2017)

Probabilities are cut into bins, `equal_width` or, as a check, `equal_mass`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Labels, label_residual

Bins = Int[Tensor, "samples dims"]
Binning = Callable[[Tensor, int], Tensor]
"""Maps values (samples, dims) in [0, 1] and a number of bins to bin ids (`Bins`)."""


class Items(NamedTuple):
    """What the cells are made of: samples, or the pairs (sample, class) of one cell together."""

    sample: Int[Tensor, " items"]
    cell: Int[Tensor, " items"]
    residual: Float[Tensor, "items dims"]  # sum over the pairs
    pairs: Float[Tensor, " items"] | None = None  # None where each item is one


class Cells(NamedTuple):
    """Content of a reliability diagram: one row per cell that has samples, float64.

    dims is K for canonical cells and 1 for the others. The observed frequency is
    predicted - residual.
    """

    fraction: Float[Tensor, " cells"]  # n_b / N; for class_wise and class_aggregated they sum to K
    predicted: Float[Tensor, "cells dims"]  # mean prediction
    residual: Float[Tensor, "cells dims"]  # mean residual d_b
    noise: Float[Tensor, " cells"]  # squared standard error of d_b; NaN with a single sample
    items: Items


def equal_width(values: Float[Tensor, "samples dims"], num_bins: int) -> Bins:
    """Bins [0, 1/B), [1/B, 2/B), ..., [1 - 1/B, 1] for B = num_bins."""
    return (values * num_bins).long().clamp(max=num_bins - 1)


def equal_mass(values: Float[Tensor, "samples dims"], num_bins: int) -> Bins:
    """Bins of about equally many samples, for each dim; equal values are never separated."""
    starts = np.arange(1, num_bins) * len(values) // num_bins
    # a third of the time of a sort
    edges = np.partition(values.cpu().numpy(), starts, axis=0)[starts]
    edges = torch.from_numpy(edges).to(values.device).T.contiguous()
    return torch.searchsorted(edges, values.T.contiguous(), right=True).T


def confidence(
    probs: Float[Tensor, "samples classes"],
    labels: Labels,
    *,
    num_bins: int = 15,
    binning: Binning = equal_width,
) -> Cells:
    """Cells of samples with about the same largest probability.

    Args:
        probs: predicted probabilities, float64.
        labels: class ids, or distributions of the label.
        num_bins: bins per probability, at least 1.
        binning: `equal_width` or `equal_mass`.

    Raises:
        ValueError: num_bins is below 1.

    >>> probs = torch.tensor([[0.25, 0.75], [0.25, 0.75]], dtype=torch.float64)
    >>> confidence(probs, torch.tensor([1, 0])).residual.tolist()
    [[0.25]]
    """
    largest, at = probs.max(dim=-1, keepdim=True)
    excess = label_residual(probs, labels).gather(-1, at)
    return confidence_cells(largest, excess, num_bins=num_bins, binning=binning)


def top_label(
    probs: Float[Tensor, "samples classes"],
    labels: Labels,
    *,
    num_bins: int = 15,
    binning: Binning = equal_width,
) -> Cells:
    """Cells of samples with the same predicted class and about the same largest probability.

    Arguments and errors as for `confidence`.
    """
    largest, at = probs.max(dim=-1, keepdim=True)
    excess = label_residual(probs, labels).gather(-1, at)
    return confidence_cells(largest, excess, at, num_bins=num_bins, binning=binning)


def confidence_cells(
    largest: Float[Tensor, "samples 1"],
    excess: Float[Tensor, "samples 1"],
    predicted: Int[Tensor, "samples 1"] | None = None,
    *,
    num_bins: int = 15,
    binning: Binning = equal_width,
) -> Cells:
    """The same cells from the largest probability alone, of each predicted class if it is given.

    Args:
        largest: largest probability.
        excess: the same minus one where its class is the label.
        predicted: its class; None to pool the classes.
        num_bins: bins per probability, at least 1.
        binning: `equal_width` or `equal_mass`.
    """
    cell = _bins(largest, num_bins, binning)
    cell = cell if predicted is None else predicted * num_bins + cell
    return _cells(largest, excess, cell.squeeze(-1), len(largest))


def class_wise(
    probs: Float[Tensor, "samples classes"],
    labels: Labels,
    *,
    num_bins: int = 15,
    binning: Binning = equal_width,
) -> Cells:
    """Cells of samples with about the same probability of one class, for each class.

    The error adds up over classes; others divide it by K. Arguments and errors as for
    `confidence`.
    """
    classes = torch.arange(probs.shape[1], device=probs.device)
    cell = classes * num_bins + _bins(probs, num_bins, binning)
    return _cells(
        probs.reshape(-1, 1),
        label_residual(probs, labels).reshape(-1, 1),
        cell.flatten(),
        len(probs),
    )


def class_aggregated(
    probs: Float[Tensor, "samples classes"],
    labels: Labels,
    *,
    num_bins: int = 15,
    binning: Binning = equal_width,
) -> Cells:
    """Cells of pairs (sample, class) with about the same probability, whatever the class.

    The noise treats the pairs of one sample in a cell as a single observation. Arguments and
    errors as for `confidence`.
    """
    num_samples, num_classes = probs.shape
    bins = _bins(probs.reshape(-1, 1), num_bins, binning).reshape(num_samples, num_classes)

    def per_sample(values: Tensor) -> Tensor:
        sums = values.new_zeros(num_samples, num_bins)
        return sums.scatter_add(1, bins, values)

    pairs = per_sample(torch.ones_like(probs))
    sample, cell = pairs.nonzero(as_tuple=True)
    values = (per_sample(v)[sample, cell, None] for v in (probs, label_residual(probs, labels)))
    return _cells(*values, cell, num_samples, pairs[sample, cell], sample)


def canonical(
    probs: Float[Tensor, "samples classes"],
    labels: Labels,
    *,
    num_bins: int = 15,
    binning: Binning = equal_width,
) -> Cells:
    """Cells of samples whose K probabilities all lie in the same bins.

    Most samples end up alone in a cell when K is large: look at `alone` before trusting the
    error. Arguments and errors as for `confidence`.
    """
    bins = _bins(probs, num_bins, binning)
    cell = torch.unique(bins, dim=0, return_inverse=True)[1]
    return _cells(probs, label_residual(probs, labels), cell, len(probs))


def _bins(values: Tensor, num_bins: int, binning: Binning) -> Tensor:
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}; 15 is usual")
    return binning(values, num_bins)


def _cells(
    predicted: Float[Tensor, "items dims"],
    residuals: Float[Tensor, "items dims"],
    cell: Int[Tensor, " items"],
    num_samples: int,
    pairs: Float[Tensor, " items"] | None = None,
    sample: Int[Tensor, " items"] | None = None,
) -> Cells:
    """Averages over the items of each cell; an item is a sample, or its `pairs` pairs together."""
    items = cell.bincount()
    used = items > 0
    cell, items = (used.cumsum(dim=0) - 1)[cell], items[used]
    if sample is None:
        sample = torch.arange(num_samples).repeat_interleave(len(cell) // num_samples)

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(len(items), *values.shape[1:]).index_add(0, cell, values)

    count = items.double() if pairs is None else total(pairs)
    made_of = Items(sample, cell, residuals, pairs)
    spread = (residuals - (total(residuals) / items[:, None])[cell]).square().sum(dim=-1)
    noise = torch.where(items > 1, items * total(spread) / (items - 1), torch.nan) / count.square()
    predicted, residuals = total(predicted) / count[:, None], total(residuals) / count[:, None]
    return Cells(count / num_samples, predicted, residuals, noise, made_of)
