"""The numbers of a finished run by name, each with its 95% interval.

slope.logit_slope, offset.logit_slope    of the population: the numbers to quote, unless flagged
spread.logit_slope         standard deviation of log variance - log bias_sq, of the same fit
slope.ols, intercept.ols, r_squared.ols  of these members
slope.small_bias           OLS slope of the correct samples with bias_sq up to its median there
slope.cross_half, intercept.cross_half   a check without an interval
kl.slope, kl.r_squared     OLS fit of log kl_variance on log kl_bias over the correct samples
r_squared.lost             r_squared.ols - kl.r_squared, on the same resamples
accuracy, member_accuracy, mean.<value>, share.variance
ratio.<quantile>           of unbiased variance / bias_sq of these members over the samples where
                           both are positive
reliability                fraction of the variance of log bias_sq over correct samples that is not
                           error of the members
decades                    log10 of the 97.5% over the 2.5% quantile of bias_sq, correct samples
wrong.fall                 log10 of the median variance / bias_sq of wrong over correct samples
gap.<part>, gde.hard, gde.soft, ece, bound.<notion>, temperature.<when>.<part>
noise.distance.<distribution>, noise.skewness, noise.excess_kurtosis, margin
slope.data, slope.model, slope.population    OLS slope of the data and of the noise model

Numbers of samples.csv (small_bias, kl, r_squared.lost, ratio, decades, wrong.fall) are resampled
over samples, and their intervals are over samples alone.
"""

import csv
import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from intervals import (
    around,
    bootstrap_weights,
    bootstrapped,
    exact,
    median_difference,
    quoted,
    resampled,
    resampled_line,
)
from verdicts import Number, Numbers

DESCRIPTIVE = {"ols": ("slope", "intercept", "r_squared"), "cross_half": ("slope", "intercept")}
"""Estimator for these members -> its numbers."""

GAP_PARTS = ("gap", "uncertainty", "calibration_residual")

Curves = dict[str, list[dict[str, float]]]
"""Points of each curve by its name, with keys x, y and perhaps error."""


class Extra(NamedTuple):
    """The results of a measurement: numbers by name of the run, and curves."""

    rows: dict[str, Numbers]
    curves: Curves


def read_samples(run: Path) -> dict[str, np.ndarray]:
    """The columns of samples.csv by name."""
    with (run / "samples.csv").open() as file:
        names, *rows = csv.reader(file)
    values = np.array(rows, dtype=np.float64).T
    return dict(zip(names, values, strict=True))


def measure(run: Path) -> Numbers:
    """All numbers of a finished run, computed from its summary.json and samples.csv.

    Those without a value have a `reason` instead, where the summary gives one.
    """
    summary = json.loads((run / "summary.json").read_text())
    samples = read_samples(run)
    numbers = {
        "accuracy": quoted(summary["accuracy"]),
        "member_accuracy": quoted(summary["member_accuracy"]["mean"]),
        "share.variance": exact(summary["variance_share"]["squared"]),
        **{f"mean.{name}": quoted(mean) for name, mean in summary["means"].items()},
        **_fits(summary),
        **_calibration(summary["calibration"]),
        **_collapse(summary["collapse"]),
        **_from_samples(samples),
    }
    return {
        name: number
        for name, number in numbers.items()
        if number["value"] is not None or number.get("reason")
    }


def _fits(summary: dict) -> Numbers:
    population = summary["alignment"]["logit_slope"]
    numbers = {key: population[key] for key in ("slope", "offset")}
    numbers["spread"] = summary["ratio"]["population"]["spread"]
    flags = population["flags"]
    found = {f"{key}.logit_slope": quoted(number, flags) for key, number in numbers.items()}
    found |= {
        f"{key}.{estimator}": quoted(summary["alignment"][estimator][key])
        for estimator, keys in DESCRIPTIVE.items()
        for key in keys
    }
    return found


def _calibration(calibration: dict) -> Numbers:
    numbers = {f"gap.{part}": quoted(mean) for part, mean in calibration["gap"].items()}
    numbers |= {
        f"gde.{kind}": quoted(calibration[f"{kind}_equality"]["difference"])
        for kind in ("hard", "soft")
    }
    bounds = calibration["bounds"]
    numbers |= {f"bound.{notion}": exact(value) for notion, value in bounds.items()}
    if bounds["class_wise"]:
        numbers["bound.used"] = exact(bounds["deviation"] / bounds["class_wise"])
    numbers["ece"] = quoted(calibration["errors"]["equal_width"]["confidence"]["absolute"])
    numbers["temperature"] = exact(calibration["temperature"]["temperature"])
    for when, means in (calibration["temperature"]["effect"] or {}).items():
        if isinstance(means, dict):
            parts = {part: means[part] for part in GAP_PARTS if part in means}
            numbers |= {f"temperature.{when}.{p}": quoted(mean) for p, mean in parts.items()}
    return numbers


def _collapse(collapse: dict) -> Numbers:
    if collapse["distribution"] is None:
        return {}
    slopes = {"data": "slope_data", "model": "slope_simulated", "population": "slope_population"}
    numbers = {f"slope.{name}": exact(collapse[key]) for name, key in slopes.items()}
    numbers |= {
        f"noise.distance.{distribution}": exact(fit["distance"])
        for distribution, fit in collapse["distributions"].items()
    }
    numbers["margin"] = exact(collapse["s_prime_mean"])
    for name in ("skewness", "excess_kurtosis"):
        if collapse[name] is not None:
            variance = collapse[f"{name}_error"] ** 2
            numbers[f"noise.{name}"] = around(
                collapse[name], variance, collapse["samples"], "samples"
            )
    return numbers


def _from_samples(samples: dict[str, np.ndarray]) -> Numbers:
    right = samples["correct"] == 1
    squared, kl = (("bias_sq", "variance"), ("kl_bias", "kl_variance"))
    positive = np.all([samples[name] > 0 for name in (*squared, *kl)], axis=0)
    both = right & positive
    if both.sum() < 30:
        return {}
    columns = {name: torch.from_numpy(samples[name][both]) for name in (*squared, *kl)}
    lines = [resampled_line(columns[x], columns[y]) for x, y in (squared, kl)]
    numbers = {f"kl.{key}": bootstrapped(lines[1][key]) for key in ("slope", "r_squared")}
    numbers["r_squared.lost"] = bootstrapped(lines[0]["r_squared"] - lines[1]["r_squared"])
    small = columns["bias_sq"] <= columns["bias_sq"].median()
    part = resampled_line(*(columns[name][small] for name in squared))
    numbers["slope.small_bias"] = bootstrapped(part["slope"])
    numbers["decades"] = resampled(_decades, samples["bias_sq"][both])
    numbers["reliability"] = _reliability(
        samples["bias_sq"][both], samples["log_bias_sq_error"][both]
    )
    unbiased = samples["variance_unbiased"][positive] / samples["bias_sq_unbiased"][positive]
    numbers |= {
        f"ratio.{q}": resampled(partial(np.quantile, q=q), unbiased) for q in (0.5, 0.9, 0.99)
    }
    wrong = ~right & positive
    if wrong.sum() >= 5:
        ratio = np.log10(samples["variance"][positive] / samples["bias_sq"][positive])
        numbers["wrong.fall"] = median_difference(ratio, wrong[positive])
    return numbers


def _reliability(bias_sq: np.ndarray, error: np.ndarray) -> Number:
    """1 - mean squared error / variance of log bias_sq, with its bootstrap interval."""
    known = np.isfinite(error)
    x, square = (torch.from_numpy(v[known]) for v in (np.log(bias_sq), error**2))
    if len(x) < 30:
        return exact(None)
    weights = bootstrap_weights(len(x), 0)
    mean, mean_square, of_error = (weights @ v / len(x) for v in (x, x.square(), square))
    return bootstrapped(1 - of_error / (mean_square - mean.square()))


def _decades(bias_sq: np.ndarray) -> float:
    low, high = np.quantile(bias_sq, [0.025, 0.975])
    return float(np.log10(high / low))
