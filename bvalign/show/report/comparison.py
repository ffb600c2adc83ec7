"""Several reports side by side, as plain data; reads summary.json and samples.csv."""

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bvalign.analysis.slopes import stored_estimates
from bvalign.show.report.galleries import distance_to_line, largest
from bvalign.show.report.summary_json import SCHEMA

COLUMNS = ("index", "label", "correct", "bias_sq", "variance")
OFF_LINE_SHARE = 0.05
MEANS = ("risk", "bias_sq", "variance")
SLOPES = ("cross_half", "ols")


class Report(NamedTuple):
    """One report as it was read."""

    name: str
    summary: dict[str, object]
    samples: dict[str, np.ndarray]  # column -> (samples)


def read_reports(folders: Sequence[Path]) -> list[Report]:
    """The reports of run directories, or of what `bvalign analyze` left.

    Raises:
        ValueError: fewer than two, one that is no report, or one of another schema.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        given = ", ".join(map(str, folders)) or "none"
        raise ValueError(f"compare needs at least two different runs, got {given}")
    names = _names(folders)
    return [_read(folder, name) for folder, name in zip(folders, names, strict=True)]


def compare_reports(reports: Sequence[Report]) -> dict[str, object]:
    """All numbers; JSON-able, docs/summary.md says what each means."""
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
    """The runs as rows of a CSV, header first; 17 significant digits, nothing where undefined."""
    yield list(runs[0])
    for run in runs:
        yield [
            "" if v is None else f"{v:.17g}" if isinstance(v, float) else str(v)
            for v in run.values()
        ]


def _names(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, with as many of their parents as it takes to tell them apart."""
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
    return Report(name, summary, _columns(paths[1]))


def _columns(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open() as file:
            header = file.readline().rstrip("\n").split(",")
            places = [header.index(name) for name in COLUMNS]
            values = np.loadtxt(file, delimiter=",", usecols=places, ndmin=2).T
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); write the report again") from error
    columns = dict(zip(COLUMNS, values, strict=True))
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
    fits = stored_estimates(summary["alignment"])
    for name in SLOPES:
        slope = fits[name]["slope"]
        low, high = slope.quoted_interval or (None, None)
        row |= {name: slope.value, f"{name}_low": low, f"{name}_high": high}
    return row


def _same_samples(a: Report, b: Report) -> bool:
    """True if both were tested on the same data, all of it known to be the same."""
    prints = [report.summary["data"]["fingerprint"] for report in (a, b)]
    return prints[0] == prints[1] is not None and all(
        np.array_equal(a.samples[key], b.samples[key]) for key in ("index", "label")
    )


def _pair(a: Report, b: Report) -> dict[str, object]:
    """Agreement of two runs, sample by sample."""
    both = a.samples["correct"] & b.samples["correct"]
    return {
        "runs": [a.name, b.name],
        "bias_sq_rank_correlation": _rank_correlation(a, b, "bias_sq"),
        "variance_rank_correlation": _rank_correlation(a, b, "variance"),
        "off_line_overlap": _overlap(_off_line(a, both), _off_line(b, both)),
        "off_line_overlap_by_chance": OFF_LINE_SHARE,
    }


def _rank_correlation(a: Report, b: Report, name: str) -> float | None:
    """Spearman's."""
    ranks = [_ranks(report.samples[name]) for report in (a, b)]
    if min(map(np.ptp, ranks)) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from one on; equal values share the mean of theirs (samples)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (count.cumsum() - (count - 1) / 2)[place]


def _off_line(report: Report, both: np.ndarray) -> np.ndarray:
    """|distance| to the run's own ols line, of samples that both runs get right (samples)."""
    fit = {k: v["value"] for k, v in report.summary["alignment"]["ols"].items() if k != "samples"}
    line = None if fit["slope"] is None else (fit["slope"], fit["intercept"])
    values = {key: report.samples[key] for key in ("bias_sq", "variance")}
    return np.abs(distance_to_line(**values, correct=both, line=line))


def _overlap(a: np.ndarray, b: np.ndarray) -> float | None:
    """Of the OFF_LINE_SHARE furthest samples of one run, the share that is so in the other."""
    usable = np.isfinite(a) & np.isfinite(b)
    number = round(OFF_LINE_SHARE * int(usable.sum()))
    if not number:
        return None
    furthest = [set(largest(np.where(usable, score, np.nan), number).tolist()) for score in (a, b)]
    return len(furthest[0] & furthest[1]) / number
