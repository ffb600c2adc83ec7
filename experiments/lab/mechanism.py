"""Noise of the logits of real members: its distribution, and its growth with the margin."""

from pathlib import Path

import numpy as np
import torch
from finite import correct_logits
from intervals import around
from measures import Extra
from verdicts import Number

from bvalign.analysis.collapse.noise_fit import fit_logit_noise
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


def noise_growth(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """The scale of the noise of the logits over the margin s', and how it grows.

    `noise.growth` is the slope of log sigma on log s' over ten bins of equally many samples; its
    interval is a jackknife over the bins. Zero means one noise scale for all samples.
    """
    rows, curves = {}, {}
    for name, path in runs.items():
        logits, target = correct_logits(path)
        if not logits.isfinite().all():
            print(f"  {name}: no growth of the noise, as some probabilities are exactly zero")
            continue
        if len(logits) < 3 or len(target) < 30 * NUM_BINS:
            continue
        bins = fit_logit_noise(logits, target).s_prime.argsort().chunk(NUM_BINS)
        fits = [fit_logit_noise(logits[:, samples], target[samples]) for samples in bins]
        margin = [float(fit.s_prime.mean()) for fit in fits]
        sigma = [fit.variance**0.5 for fit in fits]
        error = [fit.variance_error / (2 * s) for fit, s in zip(fits, sigma, strict=True)]
        points = zip(margin, sigma, error, strict=True)
        curve = [{"x": x, "y": y, "error": e} for x, y, e in points]
        curves[f"{name}: noise of the logits (nats)"] = curve
        if margin[0] > 0:
            ends = (torch.tensor(v, dtype=torch.float64) for v in (margin, sigma))
            rows[name] = {"noise.growth": _growth(*ends)}
    return Extra(rows, curves)


def _growth(margin: torch.Tensor, sigma: torch.Tensor) -> Number:
    kept = [torch.arange(NUM_BINS) != out for out in range(NUM_BINS)]
    without = [float(log_log_line(margin, sigma, k)["slope"]) for k in kept]
    whole = float(log_log_line(margin, sigma)["slope"])
    return _jackknifed(whole, without, "bins")


def _gaussian_minus_gumbel(logits: torch.Tensor, target: torch.Tensor) -> float:
    fits = fit_logit_noise(logits, target).fits
    return fits["gaussian"].distance - fits["gumbel"].distance


def _jackknifed(whole: float, without: list[float], over: str) -> Number:
    """An estimate with its interval from those that leave out one group each."""
    number = len(without)
    variance = (number - 1) / number * np.square(without - np.mean(without)).sum()
    return around(whole, float(variance), number, over)
