"""What the estimated shape of the noise adds to the variances of slope and offset.

For a number with gradient T by the coefficients of the shape, all on the drawn samples:

    samples    sum_i psi_i² / n², psi_i the influence of sample i's k-statistics through T
    members    T times the change of the coefficients without a group, added to what that group
               changes at a fixed shape
    both       (G-1)/G sum_g sum_i (change of psi_i without g)² / n²

so that members - both has mean zero where samples do not share their members' noise.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.intervals import samples_variance
from bvalign.analysis.slopes.drawn import OddsBlock
from bvalign.analysis.slopes.noise_families import noise_table
from bvalign.analysis.slopes.noise_pooling import ShapeChange
from bvalign.analysis.slopes.quadrature import LogOdds, NoiseTable, expectations

STEP = 0.02
"""Of skewness and kurtosis, for the gradient."""


class ShapePart(NamedTuple):
    """Part of the shape in the variances of one number."""

    samples: float
    members: Float[Tensor, " groups"]  # change of the number without each group
    both: float


class LogGradients(NamedTuple):
    """Derivatives of log bias_sq and log variance by the level of skewness and of kurtosis."""

    bias_sq: Float[Tensor, "2 samples"]
    variance: Float[Tensor, "2 samples"]
    basis: Float[Tensor, "samples terms"]  # of the lines that the levels belong to


def log_gradients(
    odds: OddsBlock, change: ShapeChange, used: Bool[Tensor, " drawn"], num_members: int
) -> LogGradients:
    """Derivatives on some of the drawn samples, by central differences.

    Args:
        odds: of the drawn samples.
        change: the shape.
        used: those of the drawn samples that are in the fit.
        num_members: M.
    """
    mu = odds.mu[0, used]
    sd = (odds.second[0, used].clamp(min=1e-300) / (num_members - 1)).sqrt()
    at = LogOdds(mu.unsqueeze(0), sd.unsqueeze(0))

    def logs(table: NoiseTable) -> tuple[Tensor, Tensor]:
        mean, variance = expectations(at, table)
        return 2 * mean[0].log(), variance[0].log()

    by_bias, by_variance = [], []
    for direction in np.eye(2) * STEP:
        up, down = (
            logs(noise_table(change.points, change.lines + sign * direction)) for sign in (1, -1)
        )
        by_bias.append((up[0] - down[0]) / (2 * STEP))
        by_variance.append((up[1] - down[1]) / (2 * STEP))
    basis = torch.from_numpy(change.shape.basis(mu.numpy()))
    return LogGradients(torch.stack(by_bias), torch.stack(by_variance), basis)


def shape_part(
    change: ShapeChange,
    by_level: Float[Tensor, "2 samples"],
    basis: Float[Tensor, "samples terms"],
    clusters: Int[Tensor, " samples"] | None,
) -> ShapePart:
    """The part of the shape.

    Args:
        change: the shape.
        by_level: derivative of the number by each sample's skewness and kurtosis, times N.
        basis: of `LogGradients`.
        clusters: of the drawn samples behind the shape; None if they are independent.
    """
    number = by_level.shape[1]
    gradient = ((by_level @ basis).T / number).numpy()
    weights = change.shape.weights(gradient)
    own = change.shape.influence(change.shape.k)
    for band in change.shape.bands:
        own[:, band] -= own[:, band].mean(axis=1, keepdims=True)
    samples, _ = samples_variance(torch.from_numpy((weights * own).sum(axis=0)), clusters)
    moved = np.einsum("ks,gks->gs", weights, change.influences)
    scale = (len(moved) - 1) / len(moved)
    members = np.einsum("gtk,tk->g", change.change, gradient)
    both = float((moved**2).sum()) * scale / weights.shape[1] ** 2
    return ShapePart(samples, torch.from_numpy(members), both)
