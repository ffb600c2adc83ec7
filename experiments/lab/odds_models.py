"""Models of the members' log odds, each with one part more, down to these M members.

Symbols. L_mi is the log odds of a wrong answer of member m on sample i, log((1 - p_y) / p_y), in
nats; mu_i its mean over members, minus the margin of the sample; r_mi = L_mi - mu_i; and
t_m = sum_i r_mi mu_i / sum_i mu_i² is how much larger member m's own scale (inverse temperature) of
the log odds is than the mean one. Then r_mi = t_m mu_i + e_mi, and the squares add up,
sum r² = sum (t mu)² + sum e². Each stage gives log bias_sq and log variance of every sample:

    base         L = mu_i + sd x, x normal, one sd for all; infinitely many members, one wrong class
    growth       the variance of e is a function of mu, that of t mu the same for all
    temperature  the variance of r is a function of mu, as in the data
    shape        x has the pooled skewness and kurtosis of the noise, as in `logit_slope`
    classes      the wrong classes share p as they do in the data
    own          each sample has the variance of its own members, errors taken off: `logit_slope`
    finite       plug-in values of these members: the line of the paper

The variance at mu is that of bins of equally many samples, with its logarithm linear between them
and from the outer ones to the ends of mu. Values of the first four stages depend on mu alone, and
are interpolated between `GRID` points.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.slopes.noise_families import noise_table
from bvalign.analysis.slopes.quadrature import NODES, LogOdds, NoiseTable, expectations

STAGES = ("base", "growth", "temperature", "shape", "classes", "own", "finite")
GAUSSIAN = noise_table(np.array([-1.0, 1.0]), np.zeros((2, 2)))
GRID, SAMPLES_PER_BIN, MOST_BINS = 250, 50, 40
LEAST_OWN = 0.1
"""Least fraction of the variance that a member's own scale leaves in `drawn_lines`."""

Samples = Float[Tensor, " samples"]
MemberOdds = Float[Tensor, "members samples"]
Curve = Callable[[Samples], Samples]
Logs = tuple[Samples, Samples]
"""Log bias_sq and log variance."""


class Noise(NamedTuple):
    """Noise of the log odds; nats and nats²."""

    mu: Samples
    variance: Samples  # of r over members
    without_scale: Samples  # of e
    scale: Float[Tensor, " members"]  # t


def split_noise(odds: MemberOdds) -> Noise:
    """Splits the noise of at least two members into their own scales and the rest."""
    mu, freedom = odds.mean(dim=0), len(odds) - 1
    r = odds - mu
    scale = (r @ mu) / (mu @ mu)
    e = r - scale.unsqueeze(1) * mu
    return Noise(mu, *(part.square().sum(dim=0) / freedom for part in (r, e)), scale)


def curve(mu: Samples, values: Samples) -> Curve:
    """Mean of positive values as a function of mu, constant beyond the bins."""
    x, y = _bins(mu, values)
    return lambda at: torch.from_numpy(np.exp(np.interp(at, x, y)))


def extended_curve(mu: Samples, values: Samples) -> Curve:
    """The same with its logarithm going on as a line from the outer bins to the ends of mu.

    Constant ends flatten a growth where the margins have long tails; for the values of two members
    the line is too noisy.
    """
    x, y = _bins(mu, values)
    if x[0] < x[1] and x[-2] < x[-1]:
        ends = (float(mu.min()), 0, 1), (float(mu.max()), -1, -2)
        low, high = (
            (end, y[i] + (end - x[i]) * (y[i] - y[j]) / (x[i] - x[j])) for end, i, j in ends
        )
        x, y = (
            np.array([first, *of, last]) for first, of, last in zip(low, (x, y), high, strict=True)
        )
    return lambda at: torch.from_numpy(np.exp(np.interp(at, x, y)))


def _bins(mu: Samples, values: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Mean mu and the logarithm of the mean value in bins of equally many samples."""
    number = min(MOST_BINS, max(2, len(mu) // SAMPLES_PER_BIN))
    bins = mu.argsort().tensor_split(number)
    x, y = (np.array([float(of[one].mean()) for one in bins]) for of in (mu, values))
    return x, np.log(y)


def label_logs(mu: Samples, variance: Samples, table: NoiseTable) -> Logs:
    """Logarithms of the label's entry alone, for infinitely many members.

    Args:
        mu: of each sample.
        variance: of the log odds of each sample.
        table: distribution of the noise.
    """
    odds = LogOdds(mu.unsqueeze(0), variance.clamp(min=1e-300).sqrt().unsqueeze(0))
    mean, of_members = (part[0] for part in expectations(odds, table))
    return 2 * mean.log(), of_members.log()


def model_logs(mu: Samples, variance: Curve, table: NoiseTable) -> Logs:
    """The same with one wrong class, and a variance that is a function of mu."""
    grid = torch.linspace(float(mu.min()), float(mu.max()), GRID, dtype=torch.float64)
    found = label_logs(grid, variance(grid), table)
    return tuple(torch.from_numpy(np.interp(mu, grid, part + np.log(2))) for part in found)


def margin_stages(odds: MemberOdds, table: NoiseTable) -> list[Logs]:
    """Logarithms of the first four stages.

    Args:
        odds: log odds of members.
        table: distribution of the noise with its pooled shape.
    """
    noise = split_noise(odds)
    parts = (noise.without_scale, noise.variance)
    own, whole = (extended_curve(noise.mu, part) for part in parts)
    one = float(noise.variance.mean())
    of_scale = one - float(noise.without_scale.mean())
    return [
        model_logs(noise.mu, lambda at: torch.full_like(at, one), GAUSSIAN),
        model_logs(noise.mu, lambda at: own(at) + of_scale, GAUSSIAN),
        model_logs(noise.mu, whole, GAUSSIAN),
        model_logs(noise.mu, whole, table),
    ]


def line(logs: Logs, error_xx: float = 0.0, error_xy: float = 0.0) -> tuple[float, float]:
    """Slope and offset; of the slope, mean moments of errors are taken off."""
    x, y = logs
    dx = x - x.mean()
    slope = (float((dx * y).mean()) - error_xy) / (float(dx.square().mean()) - error_xx)
    return slope, float((y - x).mean())


def drawn_lines(odds: MemberOdds, table: NoiseTable, draws: int) -> Float[Tensor, "draws 2"]:
    """Slope and offset of the plug-in values of as many members, drawn from the fourth stage.

    Args:
        odds: log odds of the members that the stage is of.
        table: distribution of the noise with its pooled shape.
        draws: number of ensembles.
    """
    noise, generator = split_noise(odds), torch.Generator().manual_seed(0)
    mu, shape = noise.mu, (len(odds), len(noise.mu))
    whole, scale = extended_curve(mu, noise.variance)(mu), noise.scale.std()
    sd = (whole - (scale * mu).square()).maximum(LEAST_OWN * whole).sqrt()
    points = torch.linspace(float(table.low), float(table.high), table.values.shape[1])
    near = torch.bucketize(mu, (points[1:] + points[:-1]).double() / 2)
    found = []
    for _ in range(draws):
        own_scale, score = (
            torch.randn(size, generator=generator, dtype=torch.float64)
            for size in ((shape[0], 1), shape)
        )
        x = torch.empty(shape, dtype=torch.float64)
        for point, values in enumerate(table.values[0]):
            here = near == point
            x[:, here] = torch.from_numpy(np.interp(score[:, here], NODES, values))
        a = (mu + scale * own_scale * mu + sd * x).sigmoid()
        mean = a.mean(dim=0)
        found.append(line((2 * mean.log(), (a - mean).square().mean(dim=0).log())))
    return torch.tensor(found, dtype=torch.float64)
