"""Estimates over the number of members M, beside the predictions for finite ensembles.

The means are E bias_sq(M) = b + v / M and E variance(M) = v (1 - 1 / M), with b and v those of
infinitely many members. Slopes are predicted by ensembles of M members sampled from the noise model
of the logits. The points are means over disjoint ensembles of some of the members.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from intervals import around, exact
from measures import Extra
from study_run import predictions_of
from verdicts import Number

from bvalign.analysis.collapse.noise_distributions import draw_noise
from bvalign.analysis.collapse.noise_fit import fit_logit_noise
from bvalign.analysis.collapse.noise_model import simulate_finite_members
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.slopes.lines import log_log_line

MAX_LOGITS = 2**22
"""Most logits of one simulated ensemble."""

OVER = "disjoint ensembles"


def finite_members(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Every estimate over the number of members, with its prediction and the error of that.

    The mean bias_sq of M members is predicted as b + v/M and the variance as v (1 - 1/M), from the
    unbiased b and v of all members; the OLS slope by a simulation of M members with the margins of
    the data and the noise distribution fitted to all members. Errors are those at the worst M, of
    the means at the worst with several ensembles. `drift.<estimator>` is the slope of all members
    minus the mean slope of disjoint ensembles of a quarter of them, or of the size nearest to that;
    `logit_slope` has sizes from five members on.
    """
    rows, curves = {}, {}
    for name, path in runs.items():
        summary = summaries[name]
        estimates = _over_members(summary)
        flags = {"logit_slope": summary["alignment"]["logit_slope"]["flags"]}
        for (estimator, number), points in estimates.items():
            if number in ("slope", "offset", "bias_sq", "variance"):
                label = f"{estimator} (do not quote)" if flags.get(estimator) else estimator
                curves[f"{name}: {label} {number}"] = points
        num_members = summary["num_members"]
        if num_members < 2:
            continue
        plug_in, variance = (estimates["mean", key][-1]["y"] for key in ("bias_sq", "variance"))
        v = variance * num_members / (num_members - 1)
        b = plug_in - v / num_members
        errors = [
            _relative_error(point, constant + inverse / point["x"])
            for key, constant, inverse in (("bias_sq", b, v), ("variance", v, -v))
            for point in estimates["mean", key]
            if point["draws"] > 1
        ]
        worst = max(errors, key=lambda error: error["value"], default=None)
        rows[name] = {"finite.mean_error": worst} if worst else {}
        rows[name] |= _drifts(estimates, num_members, flags)
        simulated = _simulated_slopes(path, [p["x"] for p in estimates.get(("ols", "slope"), [])])
        if simulated:
            curves[f"{name}: model slope"] = simulated
            pairs = zip(estimates["ols", "slope"], simulated, strict=True)
            worst = max(abs(data["y"] - model["y"]) for data, model in pairs)
            rows[name]["finite.slope_error"] = exact(worst)
    return Extra(rows, curves)


def _over_members(summary: dict) -> dict[tuple[str, str], list[dict[str, float]]]:
    """Points over the number of members by estimator and number, the last of all members."""
    curves = defaultdict(list)
    for row in summary["alignment_over_members"]:
        point = {"x": row["members"], "y": row["mean"], "error": row["spread"]}
        point["draws"] = row["draws"]
        curves[row["estimator"], row["number"]].append(point)
    return dict(curves)


def _relative_error(point: dict[str, float], predicted: float) -> Number:
    """Relative distance of a mean over ensembles from its prediction, with its interval."""
    variance = (point["error"] / predicted) ** 2 / point["draws"]
    return around(abs(point["y"] / predicted - 1), variance, point["draws"], OVER)


def _drifts(
    estimates: dict[tuple[str, str], list[dict[str, float]]],
    num_members: int,
    flags: dict[str, list[str]],
) -> dict[str, Number]:
    drifts = {}
    for (estimator, number), points in estimates.items():
        several = [point for point in points if point["draws"] > 1]
        if number != "slope" or not several or points[-1]["x"] != num_members:
            continue
        quarter = min(several, key=lambda point: abs(point["x"] - num_members / 4))
        change, draws = points[-1]["y"] - quarter["y"], quarter["draws"]
        drift = around(change, quarter["error"] ** 2 / draws, draws, OVER)
        named = {"flags": flags[estimator]} if flags.get(estimator) else {}
        drifts[f"drift.{estimator}"] = drift | named
    return drifts


def read_logits(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (members, samples, classes) and labels of all samples, or of a random part."""
    predictions = predictions_of(path)
    each = len(predictions.members) * predictions.num_classes
    num = min(len(predictions.target), MAX_LOGITS // each)
    rows = np.random.default_rng(0).permutation(len(predictions.target))[:num]
    rows.sort()
    logits = torch.cat([block for block, _ in predictions.ranges()], dim=1)[:, rows]
    return logits, torch.from_numpy(predictions.target[rows])


def correct_logits(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of the correct samples.

    Samples on which all members agree bit by bit have no noise and are left out.
    """
    logits, target = read_logits(path)
    values = decompose(moments(logits, target), target)
    keep = values.correct & (values.variance > 0)
    return logits[:, keep], target[keep]


def _simulated_slopes(path: Path, sizes: list[int]) -> list[dict[str, float]]:
    """OLS slopes of simulated ensembles of each size, from the noise model fitted to the run."""
    logits, target = correct_logits(path)
    num_members, num_samples, num_classes = logits.shape
    if num_members < 3 or num_samples < 30:
        return []
    noise = fit_logit_noise(logits, target)
    distribution = min(noise.fits, key=lambda name: noise.fits[name].distance)
    points, generator = [], torch.Generator().manual_seed(0)
    margins, sigma = noise.s_prime, noise.fits[distribution].scale
    for size in sizes:
        shape = (int(size), num_samples, num_classes)
        sampled = draw_noise(shape, distribution, sigma=sigma, generator=generator)
        values = simulate_finite_members(margins, sampled)
        line = log_log_line(values.bias_sq, values.variance, values.correct)
        points.append({"x": size, "y": float(line["slope"])})
    return points
