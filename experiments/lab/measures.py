"""The numbers of a finished run by name, each with its 95% interval.

slope.<estimator>, r_squared.<estimator>, offset, spread    the fits of summary.json
kl.slope, kl.r_squared     OLS fit of log kl_variance on log kl_bias over the correct samples
r_squared.lost             r_squared.ols - kl.r_squared, on the same resamples
accuracy, member_accuracy, mean.<value>, share.variance
ratio.<quantile>           of unbiased variance / bias_sq over the samples where both are positive
decades                    log10 of the 97.5% over the 2.5% quantile of bias_sq, correct samples
wrong.fall                 log10 of the median variance / bias_sq of wrong over correct samples
gap.<part>, gde.hard, gde.soft, ece, bound.<notion>, temperature.<when>.<part>
noise.distance.<distribution>, noise.skewness, slope.data, slope.model, slope.population, margin
slope.pull                 slope.model - slope.population: the part due to the finite ensemble
slope.unexplained          slope.data - slope.model: what margins and one noise scale leave open
"""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from verdicts import Number, Numbers

from bvalign.analysis.slopes.intervals import NUM_BOOTSTRAP, bootstrap_weights, stored_estimates
from bvalign.analysis.slopes.lines import log_log_line

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
    """All numbers of a finished run, computed from its summary.json and samples.csv."""
    summary = json.loads((run / "summary.json").read_text())
    samples = read_samples(run)
    numbers = {
        "accuracy": exact(summary["accuracy"]),
        "member_accuracy": exact(summary["member_accuracy"]["mean"]),
        "share.variance": exact(summary["variance_share"]["squared"]),
        **{f"mean.{name}": with_error(mean) for name, mean in summary["means"].items()},
        **_fits(summary),
        **_calibration(summary["calibration"]),
        **_collapse(summary["collapse"]),
        **_from_samples(samples),
    }
    return {name: number for name, number in numbers.items() if number["value"] is not None}


def exact(value: float | None) -> Number:
    """A number without an interval."""
    return {"value": value, "interval": None}


def with_error(mean: dict[str, float | None]) -> Number:
    """A mean and its standard error as a number with its 95% interval."""
    value, error = mean["value"], mean["standard_error"]
    if value is None or error is None:
        return exact(value)
    return {"value": value, "interval": [value - 1.96 * error, value + 1.96 * error]}


def bootstrapped(replicates: torch.Tensor) -> Number:
    """The first replicate with an interval from the others; no interval if any is undefined."""
    if not replicates.isfinite().all():
        return exact(float(replicates[0]) if replicates[0].isfinite() else None)
    ends = torch.quantile(replicates[1:], torch.tensor([0.025, 0.975], dtype=torch.float64))
    return {"value": float(replicates[0]), "interval": ends.tolist()}


def resampled(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> Number:
    """A statistic of samples, with its bootstrap interval over the samples."""
    rng = np.random.default_rng(0)
    replicates = [statistic(values)]
    replicates += [statistic(rng.choice(values, len(values))) for _ in range(NUM_BOOTSTRAP)]
    return bootstrapped(torch.tensor(replicates, dtype=torch.float64))


def resampled_line(bias_sq: torch.Tensor, variance: torch.Tensor) -> dict[str, torch.Tensor]:
    """`log_log_line` over samples with both above zero: the estimate, and bootstrap replicates."""
    return log_log_line(bias_sq, variance, replicate_weights=bootstrap_weights(len(bias_sq), 0))


def _fits(summary: dict) -> Numbers:
    return {
        f"{key}.{estimator}": {
            "value": fit.value,
            "interval": fit.quoted_interval and list(fit.quoted_interval),
        }
        for estimator, numbers in stored_estimates(summary["alignment"]).items()
        for key, fit in numbers.items()
    }


def _calibration(calibration: dict) -> Numbers:
    numbers = {f"gap.{part}": with_error(mean) for part, mean in calibration["gap"].items()}
    numbers |= {
        f"gde.{kind}": with_error(calibration[f"{kind}_equality"]["difference"])
        for kind in ("hard", "soft")
    }
    bounds = calibration["bounds"]
    numbers |= {f"bound.{notion}": exact(value) for notion, value in bounds.items()}
    if bounds["class_wise"]:
        numbers["bound.used"] = exact(bounds["deviation"] / bounds["class_wise"])
    numbers["ece"] = exact(calibration["errors"]["equal_width"]["confidence"]["absolute"])
    numbers["temperature"] = exact(calibration["temperature"]["temperature"])
    for when, means in (calibration["temperature"]["effect"] or {}).items():
        if isinstance(means, dict):
            parts = {part: means[part] for part in GAP_PARTS if part in means}
            numbers |= {f"temperature.{when}.{p}": with_error(mean) for p, mean in parts.items()}
    return numbers


def _collapse(collapse: dict) -> Numbers:
    if collapse["law"] is None:
        return {}
    slopes = {"data": "slope_data", "model": "slope_simulated", "population": "slope_population"}
    numbers = {f"slope.{name}": exact(collapse[key]) for name, key in slopes.items()}
    data, model, population = (collapse[key] for key in slopes.values())
    if None not in (model, population):
        numbers["slope.pull"] = exact(model - population)
        numbers["slope.unexplained"] = exact(data - model)
    numbers |= {
        f"noise.distance.{distribution}": exact(fit["distance"])
        for distribution, fit in collapse["laws"].items()
    }
    skewness = {"value": collapse["skewness"], "standard_error": collapse["skewness_error"]}
    return numbers | {
        "noise.skewness": with_error(skewness),
        "margin": exact(collapse["s_prime_mean"]),
    }


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
    numbers["decades"] = resampled(_decades, samples["bias_sq"][both])
    unbiased = samples["variance_unbiased"][positive] / samples["bias_sq_unbiased"][positive]
    numbers |= {
        f"ratio.{q}": resampled(partial(np.quantile, q=q), unbiased) for q in (0.5, 0.9, 0.99)
    }
    wrong = ~right & positive
    if wrong.sum() >= 5:
        ratio = np.log10(samples["variance"][positive] / samples["bias_sq"][positive])
        numbers["wrong.fall"] = _median_difference(ratio, wrong[positive])
    return numbers


def _decades(bias_sq: np.ndarray) -> float:
    low, high = np.quantile(bias_sq, [0.025, 0.975])
    return float(np.log10(high / low))


def _median_difference(values: np.ndarray, chosen: np.ndarray) -> Number:
    """Median of the chosen values minus median of the others, resampled within each group."""
    rng = np.random.default_rng(0)
    inside, outside = values[chosen], values[~chosen]
    replicates = [float(np.median(inside) - np.median(outside))]
    for _ in range(NUM_BOOTSTRAP):
        a, b = (rng.choice(part, len(part)) for part in (inside, outside))
        replicates.append(float(np.median(a) - np.median(b)))
    return bootstrapped(torch.tensor(replicates, dtype=torch.float64))
