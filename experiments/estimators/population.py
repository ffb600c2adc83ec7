"""What infinitely many members and samples would give, by quadrature.

Given what a member has in common over classes (temperature, a shift, a factor), logits are
independent and `softmax_moments.py` integrates; what they have in common is integrated outside,
with Gauss-Hermite nodes. Squared bias and variance of a sample follow from residuals to the class
the sample is of, so that nothing cancels however confident the members are; then the least-squares
slope of log variance on log bias_sq, and their mean difference, over the samples that the mean gets
right.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from ensembles import Noise
from softmax_moments import Moments, softmax_moments


class Resolution(NamedTuple):
    """Numbers of nodes; half of them is the check that tells how many digits are right."""

    step: float = 1 / 8  # of log u
    noise: float = 1.0  # refinement of the nodes of x
    member: int = 24  # of what a member has in common over classes
    scatter: int = 9
    margins: int = 40  # on each side of the margin at which the mean becomes right


FULL = Resolution()
HALF = Resolution(step=1 / 4, noise=0.5, member=16, scatter=6, margins=24)


class Sample(NamedTuple):
    """Population values of one sample."""

    bias_sq: float
    variance: float
    kl_bias: float
    kl_risk: float
    lead: float  # E p of the class of the sample minus the largest other one


@cache
def population(noise: Noise, classes: int, resolution: Resolution = FULL) -> dict:
    """Population values by name; slope and offset are None where they are undefined.

    Returns:
        slope, offset: over the samples that the population mean gets right.
        bias_sq, variance, risk, kl_bias, kl_variance, kl_risk: means over all samples.
    """
    columns, weights, right = [], [], []
    for favoured, share in _kinds_of_samples(noise, classes):
        for factor, weight in _scatter(noise, resolution):
            for s, density in _margin_nodes(noise, favoured, factor, classes, resolution):
                for label, frequency in ((0, 1 - noise.flips), (1, noise.flips)):
                    if frequency:
                        one = _sample(noise, s, factor, favoured, classes, resolution, label)
                        columns.append(one)
                        weights.append(share * weight * density * frequency)
                        right.append(one.lead > 0 and label == 0)
    values, weights, right = np.array(columns), np.array(weights), np.array(right)
    weights /= weights.sum()
    means = dict(zip(Sample._fields, weights @ values, strict=True))
    means |= {"risk": means["bias_sq"] + means["variance"]}
    means |= {"kl_variance": means["kl_risk"] - means["kl_bias"]}
    del means["lead"]
    x, y = np.log(values[right, 0]), np.log(values[right, 1])
    return _line(x, y, weights[right] / weights[right].sum()) | means


def sample_population(noise: Noise, s: float, classes: int, *, favoured: int = 0) -> Sample:
    """Population values of one sample of class `favoured` with margin s; its label is right."""
    return _sample(noise, s, 1.0, favoured, classes, FULL, 0)


def _line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> dict[str, float | None]:
    dx, dy = x - weights @ x, y - weights @ y
    spread = weights @ (dx * dx)
    slope = float(weights @ (dx * dy) / spread) if spread > 1e-20 else None
    return {"slope": slope, "offset": float(weights @ (y - x))}


def _kinds_of_samples(noise: Noise, classes: int) -> Iterator[tuple[int, float]]:
    """A class of each kind, with the share of the classes that are of this kind."""
    traits = list(zip(noise.scales(classes), noise.loads(classes), strict=True))
    for trait in dict.fromkeys(traits):
        yield traits.index(trait), traits.count(trait) / classes


def _scatter(noise: Noise, resolution: Resolution) -> list[tuple[float, float]]:
    x, weights = _hermite(resolution.scatter if noise.scatter else 1)
    return list(zip(np.exp(noise.scatter * x), weights, strict=True))


def _margin_nodes(
    noise: Noise, favoured: int, factor: float, classes: int, resolution: Resolution
) -> Iterator[tuple[float, float]]:
    """Margins and weights: Gauss-Legendre on both sides of where the mean becomes right."""
    low, high = noise.margins.low, noise.margins.high
    if low == high:
        yield low, 1.0
        return

    def lead(s: float) -> float:
        return _sample(noise, s, factor, favoured, classes, HALF, 0).lead

    cuts = [low, high]
    if lead(low) < 0 < lead(high):
        left, right = low, high
        for _ in range(30):
            middle = (left + right) / 2
            left, right = (left, middle) if lead(middle) > 0 else (middle, right)
        cuts.insert(1, right)
    x, weights = np.polynomial.legendre.leggauss(resolution.margins)
    for start, stop in pairwise(cuts):
        s = start + (stop - start) * (x + 1) / 2
        density = noise.margins.density(s) * weights * (stop - start) / 2
        yield from zip(s.tolist(), density, strict=True)


def _sample(
    noise: Noise,
    s: float,
    factor: float,
    favoured: int,
    classes: int,
    resolution: Resolution,
    label: int,
) -> Sample:
    """Values of one sample; its label is its own class (0) or a class of the second kind (1)."""
    scales, loads = noise.scales(classes), noise.loads(classes)
    sigma = (noise.sigma + noise.growth * s) * factor
    others = [trait for k, trait in enumerate(zip(scales, loads, strict=True)) if k != favoured]
    kinds = [(scales[favoured], loads[favoured]), *dict.fromkeys(others)]
    counts = np.array([1, *(others.count(kind) for kind in kinds[1:])])
    scale, load = np.array(kinds).T
    total = None
    for weight, shift, common, temperature in _members(noise, resolution):
        location = sigma * scale * load * common + np.where(
            np.arange(len(kinds)) == 0, s + shift, 0
        )
        spread = np.hypot(sigma * scale * np.sqrt(1 - load**2), noise.class_bias)
        one = softmax_moments(
            temperature * location,
            temperature * spread,
            counts,
            noise.distribution,
            step=resolution.step,
            refinement=resolution.noise,
        )
        parts = [weight * part for part in one]
        total = parts if total is None else [a + b for a, b in zip(total, parts, strict=True)]
    return _decompose(Moments(*total), counts, label)


def _members(noise: Noise, resolution: Resolution) -> Iterator[tuple[float, float, float, float]]:
    """(weight, shift, factor, temperature) of the kinds of members."""
    shifts = _hermite(resolution.member if noise.shift else 1)
    factors = _hermite(resolution.member if noise.factor else 1)
    temperatures = _hermite(resolution.member if noise.temperature else 1)
    share, weaker = noise.weak
    weak = [(1.0, 1 - share), (weaker, share)] if share else [(1.0, 1.0)]
    for (a, wa), (f, wf), (t, wt), (w, ww) in product(
        *(list(zip(*pair, strict=True)) for pair in (shifts, factors, temperatures)), weak
    ):
        weight = wa * wf * wt * ww
        if weight > 1e-13:
            yield weight, noise.shift * a, f, np.exp(noise.temperature * t) * w


def _decompose(moments: Moments, counts: np.ndarray, label: int) -> Sample:
    """Squared bias, variance and cross-entropy from residuals to the class of the sample."""
    mean, n = moments.mean[1:], counts[1:]
    bias_sq = n @ mean**2 + (n @ mean) ** 2
    squares = n @ moments.square[1:]
    pairs = moments.pair[1:, 1:] * (np.outer(n, n) - np.diag(n))
    variance = squares + (squares + pairs.sum()) - bias_sq
    if label:  # a confident sample with another label: nothing cancels
        bias_sq = counts @ moments.mean**2 - 2 * moments.mean[1] + 1
    logits = moments.logit
    log_sum = np.log(counts @ np.exp(logits - logits.max())) + logits.max()
    return Sample(
        bias_sq=float(bias_sq),
        variance=float(variance),
        kl_bias=float(log_sum - logits[label]),
        kl_risk=float(moments.log_sum - logits[label]),
        lead=float(moments.mean[0] - mean.max()),
    )


@cache
def _hermite(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of N(0, 1)."""
    x, weights = np.polynomial.hermite_e.hermegauss(number)
    return x, weights / weights.sum()
