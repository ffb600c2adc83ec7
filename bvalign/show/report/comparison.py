"""A comparison of reports as plain data, from their summary.json and samples.csv."""

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from bvalign.analysis.intervals import stored
from bvalign.show.report.galleries import distance_to_line, largest
from bvalign.show.report.summary_json import SCHEMA

COLUMNS_READ = ("index", "label", "correct", "bias_sq", "variance")
FURTHEST_FRACTION = 0.05
MEANS = ("risk", "bias_sq", "variance")
SLOPES = ("cross_half", "ols")


class Report(NamedTuple):
    """The content of one report."""

    name: str
    summary: dict[str, object]
    samples: dict[str, Shaped[np.ndarray, " samples"]]  # columns by name


def read_reports(folders: Sequence[Path]) -> list[Report]:
    """Reads the reports in run directories or in folders that `bvalign analyze` wrote.

    Raises:
        ValueError: there are fewer than two, or one is no report or has another schema.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        given = ", ".join(map(str, folders)) or "none"
        raise ValueError(f"compare needs at least two different runs, got {given}")
    names = _names(folders)
    return [_read(folder, name) for folder, name in zip(folders, names, strict=True)]


def compare_reports(reports: Sequence[Report]) -> dict[str, object]:
    """Computes all numbers, ready for JSON; docs/summary.md explains each."""
    identities = [report.summary["identity"] for report in reports]
    keys = sorted(set().union(*identities))
    names = [report.name for report in reports]
    return {
        "schema": SCHEMA,
        "runs": [_row(report) for report in reports],
        "differs": {
            key: dict(zip(names, (identity.get(key) for identity in identities), strict=True))
            for key in keys
            if any(identity.get(key) != identities[0].get(key) for identity in identities)
        },
        "pairs": [_pair(a, b) for a, b in combinations(reports, 2) if _same_samples(a, b)],
    }


def csv_rows(runs: Sequence[dict[str, object]]) -> Iterator[list[str]]:
    """Yields the header of a CSV and a row per run; 17 significant digits, empty if undefined."""
    yield list(runs[0])
    for run in runs:
        yield [
            "" if v is None else f"{v:.17g}" if isinstance(v, float) else str(v)
            for v in run.values()
        ]


def _names(folders: Sequence[Path]) -> list[str]:
    """Names the folders, with as many of their parents as are needed to tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    depth = next(
        depth
        for depth in range(1, max(map(len, parts)) + 1)
        if len({part[-depth:] for part in parts}) == len(set(parts))
    )
    return ["/".join(part[-depth:]) for part in parts]


def _read(folder: Path, name: str) -> Report:
    paths = folder / "summary.json", folder / "samples.csv"
    if not all(path.is_file() for path in paths):
        command = (
            f"bvalign report {folder}"
            if (folder / "run.json").exists()
            else f"bvalign analyze PREDICTIONS --out {folder}"
        )
        raise ValueError(
            f"{folder}: a run to compare must hold summary.json and samples.csv; `{command}` "
            "writes them"
        )
    try:
        summary = json.loads(paths[0].read_text())
        schema = summary["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{paths[0]}: damaged ({error}); write the report again") from error
    if schema != SCHEMA:
        raise ValueError(
            f"{paths[0]}: schema must be {SCHEMA}, got {schema}; write the report again"
        )
    if not summary["labels"]:
        raise ValueError(f"{paths[0]}: compare needs bias_sq, but this is a report without labels")
    return Report(name, summary, _read_columns(paths[1]))


def _read_columns(path: Path) -> dict[str, Shaped[np.ndarray, " samples"]]:
    try:
        with path.open() as file:
            header = file.readline().rstrip("\n").split(",")
            places = [header.index(name) for name in COLUMNS_READ]
            values = np.loadtxt(file, delimiter=",", usecols=places, ndmin=2).T
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); write the report again") from error
    columns = dict(zip(COLUMNS_READ, values, strict=True))
    return columns | {"correct": columns["correct"] == 1}


def _row(report: Report) -> dict[str, object]:
    summary = report.summary
    row = {
        "run": report.name,
        "data": summary["data"]["name"],
        "members": summary["num_members"],
        "samples": summary["num_samples"],
        "accuracy": summary["accuracy"],
        "member_accuracy": summary["member_accuracy"]["mean"],
    }
    for name in MEANS:
        mean = summary["means"][name]
        row |= {name: mean["value"], f"{name}_standard_error": mean["standard_error"]}
    for name in SLOPES:
        slope = stored(summary["alignment"][name]["slope"])
        low, high = slope.quoted_interval or (None, None)
        row |= {name: slope.value, f"{name}_low": low, f"{name}_high": high}
    return row


def _same_samples(a: Report, b: Report) -> bool:
    """Tells whether two runs are known to be tested on the same samples."""
    fingerprints = [report.summary["data"]["fingerprint"] for report in (a, b)]
    return fingerprints[0] == fingerprints[1] is not None and all(
        np.array_equal(a.samples[key], b.samples[key]) for key in ("index", "label")
    )


def _pair(a: Report, b: Report) -> dict[str, object]:
    """Measures the agreement of two runs, sample by sample."""
    both = a.samples["correct"] & b.samples["correct"]
    return {
        "runs": [a.name, b.name],
        "bias_sq_rank_correlation": _rank_correlation(a, b, "bias_sq"),
        "variance_rank_correlation": _rank_correlation(a, b, "variance"),
        "off_line_overlap": _overlap(_off_line(a, both), _off_line(b, both)),
        "off_line_overlap_by_chance": FURTHEST_FRACTION,
    }


def _rank_correlation(a: Report, b: Report, name: str) -> float | None:
    """Computes Spearman's rank correlation; None if all values of a run are equal."""
    ranks = [_ranks(report.samples[name]) for report in (a, b)]
    if min(map(np.ptp, ranks)) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """Ranks values from one on; equal values get the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (count.cumsum() - (count - 1) / 2)[place]


def _off_line(report: Report, both: Bool[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """Measures |distance| to the run's own ols line of the samples that both runs get right."""
    fit = {k: v["value"] for k, v in report.summary["alignment"]["ols"].items() if k != "samples"}
    line = None if fit["slope"] is None else (fit["slope"], fit["intercept"])
    values = {key: report.samples[key] for key in ("bias_sq", "variance")}
    return np.abs(distance_to_line(**values, correct=both, line=line))


def _overlap(a: Float[np.ndarray, " samples"], b: Float[np.ndarray, " samples"]) -> float | None:
    """Returns the fraction of the samples furthest from one line that are so from the other."""
    usable = np.isfinite(a) & np.isfinite(b)
    number = round(FURTHEST_FRACTION * int(usable.sum()))
    if not number:
        return None
    furthest = [set(largest(np.where(usable, score, np.nan), number).tolist()) for score in (a, b)]
    return len(furthest[0] & furthest[1]) / number
