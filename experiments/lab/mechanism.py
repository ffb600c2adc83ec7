"""The mechanism behind the slope: noise of the logits, its growth with the margin, mean logits.

The noise model of neural collapse has logits s' e_y + sigma v with one sigma for all samples. Two
steps make it more realistic, and the OLS slope of each is compared with that of the data:
    slope.model            s' of each sample, one sigma
    slope.growing_noise    s' of each sample, sigma a function of s'
    slope.mean_logits      mean logits of each sample instead of s' e_y, the same sigma
All have as many members and samples as the data, so a finite ensemble moves all of them alike.
"""

from pathlib import Path

import numpy as np
import torch
from finite import correct_logits
from intervals import around, exact
from measures import Extra
from verdicts import Number

from bvalign.analysis.collapse.noise_distributions import draw_noise
from bvalign.analysis.collapse.noise_fit import fit_logit_noise
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.slopes.lines import log_log_line

NUM_BINS = 10


def noise_distributions(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Distance of the noise of the logits from a Gaussian minus that from a Gumbel distribution.

    Distances are Kolmogorov's; the interval is a jackknife over ten groups of samples.
    """
    rows = {}
    for name, path in runs.items():
        logits, target = correct_logits(path)
        if len(logits) < 3 or len(target) < 100:
            continue
        group = torch.arange(len(target)) % 10
        keeps = [group >= 0, *(group != left_out for left_out in range(10))]
        whole, *without = (_gaussian_minus_gumbel(logits[:, k], target[k]) for k in keeps)
        rows[name] = {"noise.gaussian_minus_gumbel": _jackknifed(whole, without, "samples")}
    return Extra(rows, {})


def slope_by_parts(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """The OLS slope of each version of the model, and the growth of the noise with the margin.

    `noise.growth` is the slope of log sigma on log s' over ten bins of equally many samples; its
    interval is a jackknife over the bins. Zero means one noise scale for all samples.
    """
    rows, curves = {}, {}
    for name, path in runs.items():
        logits, target = correct_logits(path)
        if len(logits) < 3 or len(target) < 30 * NUM_BINS:
            continue
        margins = fit_logit_noise(logits, target).s_prime
        bins = margins.argsort().chunk(NUM_BINS)
        fits = [fit_logit_noise(logits[:, samples], target[samples]) for samples in bins]
        margin = np.array([float(margins[samples].mean()) for samples in bins])
        sigma = np.sqrt([fit.variance for fit in fits])
        error = [fit.variance_error / (2 * s) for fit, s in zip(fits, sigma, strict=True)]
        points = zip(margin.tolist(), sigma.tolist(), error, strict=True)
        curve = [{"x": x, "y": y, "error": e} for x, y, e in points]
        curves[f"{name}: noise of the logits (nats)"] = curve
        own_sigma = torch.from_numpy(np.interp(margins, margin, sigma))
        one_hot = torch.nn.functional.one_hot(target, logits.shape[-1])
        slopes = {
            "growing_noise": _slope(margins[:, None] * one_hot, own_sigma, len(logits), target),
            "mean_logits": _slope(logits.double().mean(0), own_sigma, len(logits), target),
        }
        rows[name] = {f"slope.{key}": exact(slope) for key, slope in slopes.items()}
        data = summaries[name]["collapse"]["slope_data"]
        if data is not None:
            rows[name] |= {f"slope.without_{k}": exact(data - v) for k, v in slopes.items()}
        if margin[0] > 0:
            rows[name]["noise.growth"] = _growth(*map(torch.from_numpy, (margin, sigma)))
    return Extra(rows, curves)


def _growth(margin: torch.Tensor, sigma: torch.Tensor) -> Number:
    kept = [torch.arange(NUM_BINS) != out for out in range(NUM_BINS)]
    without = [float(log_log_line(margin, sigma, k)["slope"]) for k in kept]
    whole = float(log_log_line(margin, sigma)["slope"])
    return _jackknifed(whole, without, "bins")


def _slope(
    base: torch.Tensor, sigma: torch.Tensor, num_members: int, target: torch.Tensor
) -> float:
    """OLS slope of members with logits (samples, classes) `base` and Gaussian noise `sigma`."""
    generator = torch.Generator().manual_seed(0)
    noise = draw_noise((num_members, *base.shape), "gaussian", sigma=1.0, generator=generator)
    values = decompose(moments(base + sigma[:, None] * noise, target), target)
    return float(log_log_line(values.bias_sq, values.variance, values.correct)["slope"])


def _gaussian_minus_gumbel(logits: torch.Tensor, target: torch.Tensor) -> float:
    fits = fit_logit_noise(logits, target).fits
    return fits["gaussian"].distance - fits["gumbel"].distance


def _jackknifed(whole: float, without: list[float], over: str) -> Number:
    """An estimate with its interval from those that leave out one group each."""
    number = len(without)
    variance = (number - 1) / number * np.square(without - np.mean(without)).sum()
    return around(whole, float(variance), number, over)
