"""Measurements beyond those of every run; a study names them under `extras`.

Each takes finished runs by name, and gives rows of numbers by name and curves by name: a row is
that of a run, or of a pair of runs. Members' logits are read as `bvalign analyze` reads them.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from measures import bootstrapped, exact, log_line, read_samples, with_error
from verdicts import Number

from bvalign.analysis.collapse import noise_model, simulate_finite_members
from bvalign.analysis.estimates import bootstrap_weights
from bvalign.analysis.label_law import decompose_label_law
from bvalign.analysis.lines import cloud
from bvalign.analysis.logit_noise import fit_logit_noise
from bvalign.analysis.noise import draw_noise
from bvalign.analysis.statistics import decompose, moments
from bvalign.data import cifar10h_counts
from bvalign.predictions import RunDirectory

NUMBERS_SIMULATED = 2**22
"""Of logits, at most, that one simulated ensemble has."""


class Extra(NamedTuple):
    """What a measurement found."""

    rows: dict[str, dict[str, Number]]
    curves: dict[str, list[dict[str, float]]]  # name -> points with x, y and perhaps error


def finite_members(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Every estimate over the number of members, and what the size of the ensemble predicts.

    The mean bias_sq of M members is predicted as b + v/M and the variance as v (1 - 1/M), from the
    unbiased b and v of all members; the OLS slope by simulating M members with the margins of the
    data and the law of noise fitted to all of them. `drift.<estimator>` is the slope of all members
    minus the mean slope of random quarters of them.
    """
    rows, curves = {}, {}
    for name, path in runs.items():
        summary = summaries[name]
        over = _over_members(summary)
        for (estimator, number), points in over.items():
            if number in ("slope", "bias_sq", "variance"):
                curves[f"{name}: {estimator} {number}"] = points
        b, v = (summary["means"][f"{k}_unbiased"]["value"] for k in ("bias_sq", "variance"))
        if b is None:
            continue
        errors = [
            abs(point["y"] / predicted - 1)
            for key, constant, inverse in (("bias_sq", b, v), ("variance", v, -v))
            for point in over.get(("mean", key), [])
            for predicted in [constant + inverse / point["x"]]
        ]
        rows[name] = {"finite.mean_error": exact(max(errors))} if errors else {}
        rows[name] |= _drifts(over, summary["num_members"])
        simulated = _simulated_slopes(path, [p["x"] for p in over.get(("ols", "slope"), [])])
        if simulated:
            curves[f"{name}: model slope"] = simulated
            pairs = zip(over["ols", "slope"], simulated, strict=True)
            worst = max(abs(data["y"] - model["y"]) for data, model in pairs)
            rows[name]["finite.slope_error"] = exact(worst)
    return Extra(rows, curves)


def collapse_over_training(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """NC1 to NC4 of the training set over epochs, means over members, from collapse.csv."""
    rows, curves = {}, {}
    for name, path in runs.items():
        if not (path / "collapse.csv").exists():
            continue
        with (path / "collapse.csv").open() as file:
            # the last row of a member and epoch counts: an interrupted pack starts again
            found = {(row["member"], int(row["epoch"])): row for row in csv.DictReader(file)}
        measures = [key for key in next(iter(found.values())) if key not in ("member", "epoch")]
        rows[name] = {}
        for measure in measures:
            values = defaultdict(list)
            for (_, epoch), row in found.items():
                values[epoch].append(float(row[measure]))
            points = [_point(epoch, values[epoch]) for epoch in sorted(values)]
            curves[f"{name}: {measure}"] = points
            first, last = points[0], points[-1]
            rows[name][f"{measure}.last"] = exact(last["y"])
            if first["y"] > 0 and last["y"] > 0:
                rows[name][f"{measure}.fall"] = exact(float(np.log10(last["y"] / first["y"])))
    return Extra(rows, curves)


def off_line(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Whether two ensembles have the same samples off the line, for each pair on the same data.

    The distance from the OLS line of log variance on log bias_sq is compared over the samples that
    both get right: its correlation between the two, and the share of the 5% most distant (either
    side) that are so in both, where independence gives 5%.
    """
    rows = {}
    distances = {name: _distances(read_samples(path)) for name, path in runs.items()}
    for a, b in combinations(runs, 2):
        if summaries[a]["data"]["fingerprint"] != summaries[b]["data"]["fingerprint"]:
            continue
        both = np.isfinite(distances[a]) & np.isfinite(distances[b])
        if both.sum() < 30:
            continue
        x, y = (torch.from_numpy(distances[name][both]) for name in (a, b))
        weights = bootstrap_weights(int(both.sum()), 0)
        moments_ = cloud(x, y, weights)
        correlation = moments_.xy / (moments_.xx * moments_.yy).sqrt()
        far = [d.abs() >= torch.quantile(d.abs(), 0.95) for d in (x, y)]
        shared = (weights @ (far[0] & far[1]).double()) / (weights @ far[0].double())
        rows[f"{a} and {b}"] = {
            "off_line.correlation": bootstrapped(correlation),
            "off_line.shared": bootstrapped(shared),
        }
    return Extra(rows, {})


def human_labels(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Noise + bias_sq + variance against the answers of CIFAR-10H, for runs on whole test sets."""
    rows = {}
    for name, path in runs.items():
        if not str(summaries[name]["data"]["name"]).startswith("cifar10"):
            continue
        try:
            answers = torch.from_numpy(cifar10h_counts(_data_root(path)))
        except FileNotFoundError as error:
            print(f"  human labels: {error}")
            continue
        predictions, start, parts = RunDirectory(path).predictions(), 0, []
        if len(predictions.target) != len(answers):
            continue
        for logits, target in predictions.blocks():
            here = answers[start : start + len(target)]
            parts.append(decompose_label_law(moments(logits, target), here))
            start += len(target)
        law = {key: torch.cat([getattr(p, key) for p in parts]) for key in parts[0]._fields}
        right = torch.from_numpy(read_samples(path)["correct"] == 1)
        usable = (law["bias_sq"] > 0) & (law["variance"] > 0) & right
        line = log_line(law["bias_sq"][usable].numpy(), law["variance"][usable].numpy())
        rows[name] = {
            f"human.{key}": _mean(law[key]) for key in law if key not in ("answers", "variance")
        }
        rows[name] |= {f"human.{key}": bootstrapped(line[key]) for key in ("slope", "r_squared")}
        rows[name]["human.noise_share"] = exact(
            float(law["noise_unbiased"].mean() / law["risk"].mean())
        )
    return Extra(rows, {})


def two_classes(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Log bias_sq / log variance of the true class's probability in the model, for two classes."""
    margins = np.concatenate([[0.0], np.geomspace(0.1, 300, 60)])
    model = noise_model(margins, 2)
    ratio = (model.bias_sq_scalar.log() / model.variance_scalar.log()).tolist()
    curve = [{"x": s, "y": r} for s, r in zip(margins.tolist(), ratio, strict=True)]
    ends = {"ratio_of_logs.low": exact(min(ratio)), "ratio_of_logs.high": exact(max(ratio))}
    return Extra({"model of two classes": ends}, {"two classes: log bias² / log variance": curve})


EXTRAS: dict[str, Callable[[dict[str, Path], dict[str, dict]], Extra]] = {
    "finite_members": finite_members,
    "collapse_over_training": collapse_over_training,
    "off_line": off_line,
    "human_labels": human_labels,
    "two_classes": two_classes,
}


def _over_members(summary: dict) -> dict[tuple[str, str], list[dict[str, float]]]:
    curves = defaultdict(list)
    for row in summary["alignment_over_members"]:
        point = {"x": row["members"], "y": row["mean"], "error": row["spread"]}
        curves[row["estimator"], row["number"]].append(point)
    return dict(curves)


def _drifts(
    over: dict[tuple[str, str], list[dict[str, float]]], num_members: int
) -> dict[str, Number]:
    drifts = {}
    for (estimator, number), points in over.items():
        quarter = min(points, key=lambda point: abs(point["x"] - num_members / 4))
        if number == "slope" and quarter["x"] < points[-1]["x"] == num_members:
            change = {"value": points[-1]["y"] - quarter["y"], "standard_error": quarter["error"]}
            drifts[f"drift.{estimator}"] = with_error(change)
    return drifts


def _simulated_slopes(path: Path, sizes: list[int]) -> list[dict[str, float]]:
    """OLS slopes of ensembles of each size drawn from the model that was fitted to the run."""
    predictions = RunDirectory(path).predictions()
    num_members, num_classes = len(predictions.members), predictions.num_classes
    num = min(len(predictions.target), NUMBERS_SIMULATED // (num_members * num_classes))
    rows = np.random.default_rng(0).permutation(len(predictions.target))[:num]
    rows.sort()
    logits = torch.cat([block for block, _ in predictions.blocks()], dim=1)[:, rows]
    target = torch.from_numpy(predictions.target[rows])
    values = decompose(moments(logits, target), target)
    keep = values.correct & (values.variance > 0)
    if num_members < 3 or keep.sum() < 30:
        return []
    noise = fit_logit_noise(logits[:, keep], target[keep])
    law = min(noise.fits, key=lambda name: noise.fits[name].distance)
    points, generator = [], torch.Generator().manual_seed(0)
    margins, sigma = noise.s_prime, noise.fits[law].scale
    for size in sizes:
        shape = (int(size), len(margins), num_classes)
        drawn = draw_noise(shape, law, sigma=sigma, generator=generator)
        values = simulate_finite_members(margins, drawn)
        keep = values.correct & (values.variance > 0)
        line = log_line(values.bias_sq[keep].numpy(), values.variance[keep].numpy())
        points.append({"x": size, "y": float(line["slope"][0])})
    return points


def _distances(samples: dict[str, np.ndarray]) -> np.ndarray:
    """Log variance minus the line; NaN for samples that are wrong or have no logarithm."""
    keep = (samples["correct"] == 1) & (samples["bias_sq"] > 0) & (samples["variance"] > 0)
    distance = np.full(len(keep), np.nan)
    x, y = (np.log(samples[name][keep]) for name in ("bias_sq", "variance"))
    slope, intercept = np.polyfit(x, y, 1)
    distance[keep] = y - slope * x - intercept
    return distance


def _data_root(path: Path) -> str:
    config = yaml.safe_load((path / "config.yaml").read_text())
    given = (config.get("data", {}).get("init_args") or {}).get("root")
    return given or os.environ.get("BVALIGN_DATA") or "data"


def _mean(values: torch.Tensor) -> Number:
    error = float(values.std() / len(values) ** 0.5)
    return with_error({"value": float(values.mean()), "standard_error": error})


def _point(x: float, values: list[float]) -> dict[str, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"x": x, "y": float(np.mean(values)), "error": spread}
