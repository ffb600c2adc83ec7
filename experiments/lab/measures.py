"""The numbers of a finished run, flat: name -> value and 95% interval.

slope.<estimator>, r_squared.<estimator>, offset, spread    fits of summary.json
kl.slope, kl.r_squared     OLS of log kl_variance on log kl_bias over the correct samples
r_squared.lost             r_squared.ols - kl.r_squared, paired
accuracy, member_accuracy, mean.<value>, share.variance
ratio.<quantile>           of variance / bias_sq over all samples, unbiased, both positive
decades                    log10 of the 97.5% over the 2.5% quantile of bias_sq, correct samples
wrong.fall                 log10 of the median ratio variance / bias_sq of wrong over correct
gap.<part>, gde.hard, gde.soft, ece, bound.<notion>, temperature.<when>.<part>
noise.distance.<law>, noise.skewness, slope.data, slope.model, slope.population, margin
slope.pull                 slope.model - slope.population: what the size of the ensemble adds
slope.unexplained          slope.data - slope.model: what margins and one noise law leave open
"""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from verdicts import Number

from bvalign.analysis.estimates import NUM_BOOTSTRAP, bootstrap_weights
from bvalign.analysis.lines import cloud

GAP_PARTS = ("gap", "uncertainty", "calibration_residual")


class Extra(NamedTuple):
    """What a measurement found."""

    rows: dict[str, dict[str, Number]]
    curves: dict[str, list[dict[str, float]]]  # name -> points with x, y and perhaps error


def read_samples(run: Path) -> dict[str, np.ndarray]:
    """Columns of samples.csv."""
    with (run / "samples.csv").open() as file:
        names, *rows = csv.reader(file)
    values = np.array(rows, dtype=np.float64).T
    return dict(zip(names, values, strict=True))


def measure(run: Path) -> dict[str, Number]:
    """All numbers of a finished run."""
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
    """A number without interval."""
    return {"value": value, "interval": None}


def with_error(mean: dict[str, float | None]) -> Number:
    """A mean and its standard error as a number with its 95% interval."""
    value, error = mean["value"], mean["standard_error"]
    if value is None or error is None:
        return exact(value)
    return {"value": value, "interval": [value - 1.96 * error, value + 1.96 * error]}


def bootstrapped(replicates: torch.Tensor) -> Number:
    """The first replicate is the estimate, the others are resamples; null if any is undefined."""
    if not replicates.isfinite().all():
        return exact(float(replicates[0]) if replicates[0].isfinite() else None)
    ends = torch.quantile(replicates[1:], torch.tensor([0.025, 0.975], dtype=torch.float64))
    return {"value": float(replicates[0]), "interval": ends.tolist()}


def resampled(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> Number:
    """A statistic of some samples, with its bootstrap interval over them."""
    rng = np.random.default_rng(0)
    draws = [statistic(values)]
    draws += [statistic(rng.choice(values, len(values))) for _ in range(NUM_BOOTSTRAP)]
    return bootstrapped(torch.tensor(draws, dtype=torch.float64))


def log_line(x: np.ndarray, y: np.ndarray) -> dict[str, torch.Tensor]:
    """OLS of log y on log x over the samples, one replicate per bootstrap resample."""
    weights = bootstrap_weights(len(x), 0)
    fitted = cloud(torch.from_numpy(np.log(x)), torch.from_numpy(np.log(y)), weights)
    return fitted.line(fitted.least_squares())


def _fits(summary: dict) -> dict[str, Number]:
    return {
        f"{key}.{estimator}": {
            "value": fit["value"],
            "interval": fit["interval"] or fit["interval_samples"],
        }
        for estimator, numbers in summary["alignment"].items()
        for key, fit in numbers.items()
        if isinstance(fit, dict)
    }


def _calibration(found: dict) -> dict[str, Number]:
    numbers = {f"gap.{part}": with_error(found["gap"][part]) for part in found["gap"]}
    numbers |= {
        f"gde.{kind}": with_error(found[f"{kind}_equality"]["difference"])
        for kind in ("hard", "soft")
    }
    numbers |= {f"bound.{notion}": exact(value) for notion, value in found["bounds"].items()}
    bounds = found["bounds"]
    if bounds["class_wise"]:
        numbers["bound.used"] = exact(bounds["deviation"] / bounds["class_wise"])
    numbers["ece"] = exact(found["errors"]["equal_width"]["confidence"]["absolute"])
    numbers["temperature"] = exact(found["temperature"]["temperature"])
    for when, means in (found["temperature"]["effect"] or {}).items():
        if isinstance(means, dict):
            parts = {part: means[part] for part in GAP_PARTS if part in means}
            numbers |= {f"temperature.{when}.{p}": with_error(mean) for p, mean in parts.items()}
    return numbers


def _collapse(found: dict) -> dict[str, Number]:
    if found["law"] is None:
        return {}
    slopes = {"data": "slope_data", "model": "slope_simulated", "population": "slope_population"}
    numbers = {f"slope.{name}": exact(found[key]) for name, key in slopes.items()}
    if None not in (found["slope_simulated"], found["slope_population"]):
        numbers["slope.pull"] = exact(found["slope_simulated"] - found["slope_population"])
        numbers["slope.unexplained"] = exact(found["slope_data"] - found["slope_simulated"])
    numbers |= {
        f"noise.distance.{law}": exact(fit["distance"]) for law, fit in found["laws"].items()
    }
    skewness = {"value": found["skewness"], "standard_error": found["skewness_error"]}
    return numbers | {
        "noise.skewness": with_error(skewness),
        "margin": exact(found["s_prime_mean"]),
    }


def _from_samples(samples: dict[str, np.ndarray]) -> dict[str, Number]:
    right = samples["correct"] == 1
    squared, kl = (("bias_sq", "variance"), ("kl_bias", "kl_variance"))
    positive = np.all([samples[name] > 0 for name in (*squared, *kl)], axis=0)
    both = right & positive
    if both.sum() < 30:
        return {}
    lines = [log_line(samples[x][both], samples[y][both]) for x, y in (squared, kl)]
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
    """Median of the chosen minus median of the others, bootstrap within each."""
    rng = np.random.default_rng(0)
    inside, outside = values[chosen], values[~chosen]
    draws = [float(np.median(inside) - np.median(outside))]
    for _ in range(NUM_BOOTSTRAP):
        a, b = (rng.choice(part, len(part)) for part in (inside, outside))
        draws.append(float(np.median(a) - np.median(b)))
    return bootstrapped(torch.tensor(draws, dtype=torch.float64))
