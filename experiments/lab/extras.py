"""Measurements beyond those of every run; study.yaml names them under `extras`.

Each takes the finished runs by name and returns numbers and curves by name; the numbers belong to a
run or to a pair of runs. The members' logits are read as `bvalign analyze` reads them.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import yaml
from budget import budget
from finite import finite_members
from intervals import bootstrap_weights, bootstrapped, exact, mean, resampled_line
from measures import Extra, read_samples
from mechanism import noise_distributions, noise_growth
from prediction import prediction
from study_run import predictions_of

from bvalign.analysis.collapse.noise_model import noise_model
from bvalign.analysis.decompositions.soft_labels import decompose_soft_labels
from bvalign.analysis.decompositions.squared_loss import moments
from bvalign.analysis.slopes.lines import cloud, log_log_line
from bvalign.data import cifar10h_counts
from bvalign.show.report.page.galleries import distance_to_line

ALL_SOURCES = {"init": "member", "order": "member", "augmentation": "member", "bootstrap": "off"}


def collapse_over_training(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """NC1 to NC4 of the training set over epochs, as means over members, from collapse.csv."""
    rows, curves = {}, {}
    for name, path in runs.items():
        if not (path / "collapse.csv").exists():
            continue
        with (path / "collapse.csv").open() as file:
            # the last row of a member and epoch counts: an interrupted pack starts again
            epochs = {(row["member"], int(row["epoch"])): row for row in csv.DictReader(file)}
        measures = [key for key in next(iter(epochs.values())) if key not in ("member", "epoch")]
        rows[name] = {}
        for measure in measures:
            values = defaultdict(list)
            for (_, epoch), row in epochs.items():
                values[epoch].append(float(row[measure]))
            curves[f"{name}: {measure}"] = [_point(at, values[at]) for at in sorted(values)]
            first, last = (np.array(values[at]) for at in (min(values), max(values)))
            rows[name][f"{measure}.last"] = mean(torch.from_numpy(last), "members")
            if len(first) == len(last) and min(*first, *last) > 0:
                rows[name][f"{measure}.fall"] = mean(
                    torch.from_numpy(np.log10(last / first)), "members"
                )
    return Extra(rows, curves)


def off_line(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Agreement of two ensembles on the samples off the line, for each pair on the same data.

    The distance from the OLS line of log variance on log bias_sq is compared over the samples that
    both ensembles get right: its correlation, and the fraction of the 5% most distant samples (on
    either side) that are among the most distant of both, which is 5% under independence.
    """
    rows = {}
    distances = {name: _distances(read_samples(path)) for name, path in runs.items()}
    for a, b in combinations(runs, 2):
        known = summaries[a]["data"]["fingerprint"]
        if known is None or known != summaries[b]["data"]["fingerprint"]:
            continue
        both = np.isfinite(distances[a]) & np.isfinite(distances[b])
        if both.sum() < 30:
            continue
        x, y = (torch.from_numpy(distances[name][both]) for name in (a, b))
        resamples = bootstrap_weights(int(both.sum()), 0)
        points = cloud(x, y, resamples)
        correlation = points.xy / (points.xx * points.yy).sqrt()
        far = [d.abs() >= torch.quantile(d.abs(), 0.95) for d in (x, y)]
        shared = (resamples @ (far[0] & far[1]).double()) / (resamples @ far[0].double())
        rows[f"{a} and {b}"] = {
            "off_line.correlation": bootstrapped(correlation),
            "off_line.shared": bootstrapped(shared),
        }
    return Extra(rows, {})


def share_of_all_sources(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """The variance that some sources of randomness make, over that of all sources together.

    The run with all sources differs in nothing but `model.randomness`, where every source is each
    member's own and the bootstrap is off. A ratio of unbiased means; the interval is over samples.
    """
    rows = {}
    for name, path in runs.items():
        sources, rest = _sources(summaries[name])
        whole = next(
            (other for other in runs if _sources(summaries[other]) == (ALL_SOURCES, rest)), None
        )
        if whole is None or sources == ALL_SOURCES:
            continue
        here, there = (torch.from_numpy(v) for v in map(_unbiased_variance, (path, runs[whole])))
        resamples = bootstrap_weights(len(here), 0)
        ratio = bootstrapped((resamples @ here) / (resamples @ there))
        rows[name] = {"variance.of_all_sources": ratio}
    return Extra(rows, {})


def human_labels(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Noise + bias_sq + variance against the labels of CIFAR-10H, for runs on whole test sets."""
    rows = {}
    for name, path in runs.items():
        if not str(summaries[name]["data"]["name"]).startswith("cifar10"):
            continue
        try:
            answers = torch.from_numpy(cifar10h_counts(_data_root(path)))
        except FileNotFoundError as error:
            print(f"  human labels: {error}")
            continue
        predictions, start, parts = predictions_of(path), 0, []
        if len(predictions.target) != len(answers):
            continue
        for logits, target in predictions.ranges():
            here = answers[start : start + len(target)]
            parts.append(decompose_soft_labels(moments(logits, target), here))
            start += len(target)
        values = {key: torch.cat([getattr(p, key) for p in parts]) for key in parts[0]._fields}
        right = torch.from_numpy(read_samples(path)["correct"] == 1)
        usable = (values["bias_sq"] > 0) & (values["variance"] > 0) & right
        line = resampled_line(values["bias_sq"][usable], values["variance"][usable])
        rows[name] = {
            f"human.{key}": mean(values[key], "samples")
            for key in values
            if key not in ("answers", "variance")
        }
        rows[name] |= {f"human.{key}": bootstrapped(line[key]) for key in ("slope", "r_squared")}
        rows[name]["human.noise_share"] = exact(
            float(values["noise_unbiased"].mean() / values["risk"].mean())
        )
    return Extra(rows, {})


def two_classes(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """Log bias_sq / log variance of the true class's probability in the model with two classes."""
    margins = np.concatenate([[0.0], np.geomspace(0.1, 300, 60)])
    model = noise_model(margins, 2)
    ratio = (model.bias_sq_scalar.log() / model.variance_scalar.log()).tolist()
    curve = [{"x": s, "y": r} for s, r in zip(margins.tolist(), ratio, strict=True)]
    ends = {"ratio_of_logs.low": exact(min(ratio)), "ratio_of_logs.high": exact(max(ratio))}
    return Extra({"model of two classes": ends}, {"two classes: log bias² / log variance": curve})


EXTRAS: dict[str, Callable[[dict[str, Path], dict[str, dict]], Extra]] = {
    "finite_members": finite_members,
    "collapse_over_training": collapse_over_training,
    "noise_distributions": noise_distributions,
    "noise_growth": noise_growth,
    "budget": budget,
    "prediction": prediction,
    "off_line": off_line,
    "human_labels": human_labels,
    "share_of_all_sources": share_of_all_sources,
    "two_classes": two_classes,
}


def _distances(samples: dict[str, np.ndarray]) -> np.ndarray:
    """Log variance minus the line; NaN for samples that are wrong or have no logarithm."""
    bias_sq, variance, correct = (samples[k] for k in ("bias_sq", "variance", "correct"))
    line = log_log_line(*map(torch.from_numpy, (bias_sq, variance, correct == 1)))
    ends = float(line["slope"]), float(line["intercept"])
    return distance_to_line(bias_sq, variance, correct == 1, ends)


def _data_root(path: Path) -> str:
    """Where a trained run had its data; of another kind, where data is by default."""
    given, file = None, path / "config.yaml"
    if file.exists():
        data = yaml.safe_load(file.read_text()).get("data", {})
        given = (data.get("init_args") or {}).get("root")
    return given or os.environ.get("BVALIGN_DATA") or "data"


def _sources(summary: dict) -> tuple[dict[str, str], dict[str, object]]:
    """The sources of randomness of a run, and everything else that determines its members."""
    sources, rest = {}, {"members": summary["num_members"]}
    for key, value in summary["identity"].items():
        if key.startswith("model.randomness."):
            sources[key.rpartition(".")[2]] = value
        else:
            rest[key] = value
    return sources, rest


def _unbiased_variance(path: Path) -> np.ndarray:
    return read_samples(path)["variance_unbiased"]


def _point(x: float, values: list[float]) -> dict[str, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"x": x, "y": float(np.mean(values)), "error": spread}
