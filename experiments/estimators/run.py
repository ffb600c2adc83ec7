"""Compares the slope estimators on simulated ensembles whose population slope is known.

    python experiments/estimators/run.py                     # writes results.json, results.md here
    python experiments/estimators/run.py --members 8 20 50 100 --repetitions 200 --num_samples 10000

The stored results are the default (1,000 samples, 6 repetitions, 32 cells): 225 s on one core. Cost
grows with samples and repetitions, the second command takes days. No data, no GPU, one thread.

Logits are s' e_y + v for 10 classes and label y = 0, v drawn anew for each member and sample, with
s' uniform: narrow 6..9, wide 4..16. Wide is run with every number of members, narrow with one.
    gaussian, light                 sigma 1; sigma 0.5
    growing, shrinking              gaussian, sigma 0.25 + 0.075 s'; 1.45 - 0.075 s'
    gumbel, gumbel_max, beta_0.7    unit scale, both signs; v = 0.7 log Exp(1), also heavy-tailed
    shared                          gaussian, and each member shifts all margins by 0.5 N(0, 1)
Truth is the slope that infinitely many members and samples would give: log variance on log bias_sq
from quadrature of the noise distribution on 400 margins, all of which the mean member gets right,
least squares over samples; for cross_half over logs of the means of 30 bins. Every column has its
Monte Carlo standard error. Coverage is of `interval`, or of `interval_samples` where there is none.
Each estimator selects samples as by "same"; ols and ols_unbiased also by "other" and "threshold".
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from bvalign.analysis.collapse.noise_distributions import draw_noise
from bvalign.analysis.collapse.noise_model import noise_model
from bvalign.analysis.slopes.cross_half import NUM_BINS
from bvalign.analysis.slopes.estimators import ESTIMATORS
from bvalign.analysis.slopes.intervals import bootstrap_weights, estimate
from bvalign.analysis.slopes.lines import log_log_line
from bvalign.analysis.slopes.member_subsets import Design, design
from bvalign.analysis.slopes.subset_values import concatenate, subset_values

NUM_CLASSES = 10
SAMPLES_PER_BLOCK = 250
MARGINS = {"narrow": (6.0, 9.0), "wide": (4.0, 16.0)}
NARROW_MEMBERS = 20
SHIFT = 0.5  # standard deviation of a member's shift of all margins
DISTRIBUTIONS = {  # name: (noise, its scale as a function of s', shift of members)
    "gaussian": ("gaussian", lambda s: 1 + 0 * s, 0.0),
    "light": ("gaussian", lambda s: 0.5 + 0 * s, 0.0),
    "growing": ("gaussian", lambda s: 0.25 + 0.075 * s, 0.0),
    "shrinking": ("gaussian", lambda s: 1.45 - 0.075 * s, 0.0),
    "gumbel": ("gumbel", lambda s: 1 + 0 * s, 0.0),
    "gumbel_max": ("gumbel_max", lambda s: 1 + 0 * s, 0.0),
    "beta_0.7": ("gumbel", lambda s: 0.7 + 0 * s, 0.0),
    "shared": ("gaussian", lambda s: 1 + 0 * s, SHIFT),
}
WITH_SLOPE = [name for name, estimator in ESTIMATORS.items() if "slope" in estimator.numbers]
SELECTED = ("ols", "ols_unbiased")


def truth(distribution: str, margins: tuple[float, float], num_points: int) -> dict[str, float]:
    """Population slope over samples, and over bins of samples."""
    noise, scale, shift = DISTRIBUTIONS[distribution]
    coarse = np.linspace(*margins, num_points)
    nodes, weights = np.polynomial.hermite_e.hermegauss(9) if shift else ([0.0], [1.0])
    columns = []
    for s in coarse:
        sigma = float(scale(s))
        model = noise_model(s + shift * np.asarray(nodes), NUM_CLASSES, noise, sigma=sigma)
        columns.append(_mixture(model.bias_sq.numpy(), model.variance.numpy(), np.array(weights)))
    x, y = np.log(np.array(columns)).T
    fine = np.linspace(*margins, 30 * NUM_BINS)
    samples = [torch.from_numpy(np.exp(np.interp(fine, coarse, v))) for v in (x, y)]
    bins = [v.reshape(NUM_BINS, -1).mean(dim=1) for v in samples]
    parts = {"samples": samples, "bins": bins}
    return {name: float(log_log_line(*values)["slope"]) for name, values in parts.items()}


def _mixture(bias_sq: np.ndarray, variance: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Bias and variance of members of several kinds whose wrong classes are exchangeable."""
    weights = weights / weights.sum()
    mean = (weights @ np.sqrt(bias_sq)) ** 2
    return mean, weights @ (bias_sq + variance) - mean


def simulate(
    distribution: str, margins: tuple[float, float], members: int, samples: int, seed: int
) -> torch.Tensor:
    """Logits (members, samples, classes) of an ensemble; all labels are 0."""
    generator = torch.Generator().manual_seed(seed)
    noise, scale, shift = DISTRIBUTIONS[distribution]
    s = torch.empty(samples, dtype=torch.float64).uniform_(*margins, generator=generator)
    logits = draw_noise((members, samples, NUM_CLASSES), noise, generator=generator)
    logits *= scale(s).unsqueeze(-1)
    shifts = torch.randn(members, 1, generator=generator, dtype=torch.float64)
    logits[:, :, 0] += s + shift * shifts
    return logits


def slopes(logits: torch.Tensor, plan: Design, names: list[str]) -> Iterator[tuple[str, tuple]]:
    """Estimator -> (slope, lower, upper end)."""
    target = torch.zeros(logits.shape[1], dtype=torch.int64)
    values = concatenate(
        [
            subset_values(part, target[: part.shape[1]], plan.sums, plan.error_rows)
            for part in logits.split(SAMPLES_PER_BLOCK, dim=1)
        ]
    )
    weights = bootstrap_weights(len(target), 0)
    for name in names:
        slope = estimate(ESTIMATORS[name], plan.select(values), plan, weights)["slope"]
        low, high = slope.quoted_interval or (math.nan, math.nan)
        suffix = "" if plan.selection == "same" else f" ({plan.selection})"
        yield name + suffix, (math.nan if slope.value is None else slope.value, low, high)


def study(
    members: list[int], distributions: list[str], repetitions: int, samples: int, points: int
) -> list[dict[str, object]]:
    """One row per cell and estimator."""
    cells = [
        (distribution, width, m)
        for distribution, width, m in product(distributions, MARGINS, members)
        if width == "wide" or m == NARROW_MEMBERS or NARROW_MEMBERS not in members
    ]
    truths = {
        (distribution, width): truth(distribution, MARGINS[width], points)
        for distribution, width in dict.fromkeys(
            (distribution, width) for distribution, width, _ in cells
        )
    }
    estimates: dict[tuple, list[tuple]] = {}
    jobs = [(seed, cell) for seed in range(repetitions) for cell in cells]
    for seed, cell in track(jobs, "simulated ensembles"):
        distribution, width, m = cell
        logits = simulate(distribution, MARGINS[width], m, samples, seed)
        for selection in ("same", "other", "threshold"):
            plan = design(m, selection=selection, curve_draws=0)
            names = WITH_SLOPE if selection == "same" else list(SELECTED)
            for name, slope in slopes(logits, plan, names):
                estimates.setdefault((cell, name), []).append(slope)
    rows = []
    for ((distribution, width, m), name), results in estimates.items():
        target = truths[distribution, width]["bins" if name == "cross_half" else "samples"]
        cell = {
            "law": distribution,
            "margins": width,
            "members": m,
            "estimator": name,
            "truth": target,
        }
        rows.append(cell | errors(np.array(results), target))
    return rows


def errors(results: np.ndarray, target: float) -> dict[str, float | int | None]:
    """Bias, RMSE and coverage with Monte Carlo standard errors, over runs that gave a slope."""
    value, low, high = results[np.isfinite(results[:, 0])].T
    runs = len(value)
    if runs < 2:
        return {"runs": runs}
    error, inside = value - target, (low <= target) & (target <= high)
    rmse = float(np.sqrt(np.mean(error**2)))
    return {
        "runs": runs,
        "bias": float(error.mean()),
        "bias_error": float(error.std(ddof=1) / runs**0.5),
        "rmse": rmse,
        "rmse_error": float(np.std(error**2, ddof=1) / runs**0.5 / (2 * rmse)),
        "coverage": float(inside.mean()),
        "coverage_error": float((inside.mean() * (1 - inside.mean()) / runs) ** 0.5),
        "width": float(np.mean(high - low)),
    }


def markdown(rows: list[dict[str, object]], header: str) -> str:
    """The rows as a table; `+-` is one Monte Carlo standard error."""
    lines = [
        "# Slope estimators on simulated ensembles",
        "",
        header,
        "",
        "Means over cells:",
        "",
        *pooled(rows),
        "",
        "Each cell:",
        "",
        "| law | margins | M | estimator | truth | bias | RMSE | coverage | runs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in rows:
        cells = [r["law"], r["margins"], str(r["members"]), r["estimator"], f"{r['truth']:.3f}"]
        numbers = ("bias", "rmse", "coverage")
        if "bias" in r:
            digits = {"bias": "+.3f", "rmse": ".3f", "coverage": ".2f"}
            cells += [f"{r[n]:{digits[n]}} ± {r[n + '_error']:.3f}" for n in numbers]
        else:
            cells += ["undefined"] * len(numbers)
        lines.append("| " + " | ".join([*cells, str(r["runs"])]) + " |")
    return "\n".join([*lines, ""])


def pooled(rows: list[dict[str, object]]) -> list[str]:
    """A table of means over cells: one row per estimator, heavy tails apart."""
    lines = [
        "| estimator | Gaussian: mean bias | RMSE | coverage | heavy tails: mean bias | RMSE | "
        "coverage |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["estimator"] for row in rows):
        cells = [name]
        for heavy in (False, True):
            of_name = [r for r in rows if r["estimator"] == name and "bias" in r]
            some = [r for r in of_name if heavy == (DISTRIBUTIONS[r["law"]][0] != "gaussian")]
            if not some:
                cells += ["", "", ""]
                continue
            bias, rmse_sq, coverage = (
                float(np.mean(column))
                for column in zip(
                    *((r["bias"], r["rmse"] ** 2, r["coverage"]) for r in some), strict=True
                )
            )
            cells += [f"{bias:+.3f}", f"{rmse_sq**0.5:.3f}", f"{coverage:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=6, help="ensembles per cell")
    parser.add_argument("--num_samples", type=int, default=1000, help="test samples, N")
    parser.add_argument("--members", type=int, nargs="+", default=[8, 20, 50], help="M")
    parser.add_argument(
        "--laws", nargs="+", default=list(DISTRIBUTIONS), choices=list(DISTRIBUTIONS)
    )
    parser.add_argument("--points", type=int, default=40, help="margins of the quadrature")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    rows = study(args.members, args.laws, args.repetitions, args.num_samples, args.points)
    config = {key: value for key, value in vars(args).items() if key != "out"}
    config |= {"seeds": [0, args.repetitions - 1], "seconds": round(time.monotonic() - start)}
    args.out.mkdir(parents=True, exist_ok=True)
    results = json.dumps({"config": config, "rows": rows}, indent=1)
    (args.out / "results.json").write_text(results + "\n")
    header = (
        f"{args.repetitions} ensembles per cell, {args.num_samples} samples, {NUM_CLASSES} "
        f"classes, {config['seconds']} s on one core. ± one Monte Carlo standard error. "
        "Made by `python experiments/estimators/run.py`, whose docstring explains the cells."
    )
    (args.out / "results.md").write_text(markdown(rows, header))


if __name__ == "__main__":
    main()
