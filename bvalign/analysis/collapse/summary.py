"""Predictions of the neural-collapse model for one ensemble, from noise fitted to its logits."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.collapse.integrals import STEP
from bvalign.analysis.collapse.noise_distributions import draw_noise
from bvalign.analysis.collapse.noise_fit import LogitNoise, fit_logit_noise
from bvalign.analysis.collapse.noise_model import noise_model, simulate_finite_members
from bvalign.analysis.decompositions import Decomposition, decompose, moments
from bvalign.analysis.slopes import has_logs, log_log_line

CURVE_POINTS = 120
"""At most about so many; they are multiples of `integrals.STEP`, which share one table."""

SCALES, LARGEST_MARGIN = (0.01, 5.0), 300.0
"""Range where the integrals of the model are fast and accurate, in nats."""


class Curve(NamedTuple):
    """Model of infinitely many members over the margins of the data; squared probability."""

    s_prime: Float[Tensor, " points"]  # nats
    bias_sq: Float[Tensor, " points"]
    variance: Float[Tensor, " points"]


class Collapse(NamedTuple):
    """Fit of logits s' e_y + v: the distribution of v, and the slopes that follow from it.

    `slope_simulated` is the OLS slope (plug-in, correct samples) of as many members and samples
    with the margins of the data and noise of the best distribution: the model's prediction for a
    finite ensemble. Where it is near one and `slope_population` is not, the line is an artefact of
    ensemble size.
    """

    noise: LogitNoise | None  # None where it is undefined; `reason` says why
    distribution: str | None = None  # of v, with the smallest distance
    curve: Curve | None = None
    slope_data: float | None = None  # OLS on the same samples
    slope_simulated: float | None = None
    slope_population: float | None = None  # of the curve, each sample at its own margin
    data: Decomposition | None = None  # of the samples that the noise was fitted on
    simulated: Decomposition | None = None  # of as many samples from the model
    reason: str | None = None


def fit_collapse(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> Collapse:
    """Fits the noise on the correct samples among those given, and predicts slopes from it.

    Args:
        logits: of all members on some samples.
        target: class ids.
    """
    if len(logits) < 3 or not logits.isfinite().all():
        return Collapse(None, reason="needs three members with finite logits")
    values = decompose(moments(logits, target), target)
    keep = torch.nonzero(values.correct & has_logs(values.bias_sq, values.variance)).flatten()
    if len(keep) < 30:
        return Collapse(None, reason=f"needs 30 correct samples, there are {len(keep)}")
    logits, target = logits[:, keep], target[keep]
    values = Decomposition(*(value[keep] for value in values))
    noise = fit_logit_noise(logits, target)
    name = min(noise.fits, key=lambda fitted: noise.fits[fitted].distance)
    sigma, margins = noise.fits[name].scale, noise.s_prime
    if not SCALES[0] <= sigma <= SCALES[1] or margins.abs().max() > LARGEST_MARGIN:
        reason = (
            f"noise of scale {sigma:.3g} at margins up to {float(margins.abs().max()):.3g} nats"
        )
        return Collapse(None, reason=f"{reason} is out of the model's reach")
    grid = _grid(float(margins.min()), float(margins.max()))
    model = noise_model(grid, logits.shape[-1], name, sigma=sigma)
    generator = torch.Generator().manual_seed(0)
    drawn = draw_noise(tuple(logits.shape), name, sigma=sigma, generator=generator)
    simulated = simulate_finite_members(margins, drawn)
    population = [
        torch.from_numpy(np.interp(margins, grid, curve.log())).exp()
        for curve in (model.bias_sq, model.variance)
    ]
    return Collapse(
        noise=noise,
        distribution=name,
        curve=Curve(grid, model.bias_sq, model.variance),
        slope_data=_slope(values),
        slope_simulated=_slope(simulated),
        slope_population=float(log_log_line(*population)["slope"]),
        data=values,
        simulated=simulated,
    )


def _grid(low: float, high: float) -> Float[Tensor, " points"]:
    """Margins from one end or a little before to the other or a little beyond."""
    step = STEP * math.ceil(max(high - low, STEP) / (STEP * CURVE_POINTS))
    places = torch.arange(math.floor(low / step), math.ceil(high / step) + 1, dtype=torch.float64)
    return (step * places).clamp(-LARGEST_MARGIN, LARGEST_MARGIN)


def _slope(values: Decomposition) -> float | None:
    """OLS slope of the correct samples; None for fewer than three."""
    if (values.correct & has_logs(values.bias_sq, values.variance)).sum() < 3:
        return None
    return float(log_log_line(values.bias_sq, values.variance, values.correct)["slope"])
