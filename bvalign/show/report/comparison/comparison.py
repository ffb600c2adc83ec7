"""A comparison of reports as plain data, from their summary.json and samples."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from bvalign.show.report.comparison.differences import differences, labels_differ
from bvalign.show.report.comparison.names import run_names
from bvalign.show.report.comparison.stored_reports import NOISE, Report, main_numbers
from bvalign.show.report.page.galleries import distance_to_line, largest
from bvalign.show.report.summary_json import SCHEMA

FURTHEST_FRACTION = 0.05
SAME_NOISE = 1e-6
"""Largest difference of the noise of the same soft labels, which may be stored in float32."""


def compare_reports(reports: Sequence[Report]) -> dict[str, object]:
    """Computes all numbers, ready for JSON; docs/summary.md explains each."""
    identities = [report.summary["identity"] for report in reports]
    keys = sorted(set().union(*identities))
    folders = [report.name for report in reports]
    names = run_names(identities, folders)
    pairs, unpaired = [], []
    for a, b in combinations(reports, 2):
        if reason := _mismatch(a, b):
            unpaired.append({"runs": [a.name, b.name], "reason": reason})
        else:
            pairs.append(_pair(a, b))
    return {
        "schema": SCHEMA,
        "runs": [_row(*named) for named in zip(reports, names, strict=True)],
        "differs": {
            key: dict(zip(folders, (identity.get(key) for identity in identities), strict=True))
            for key in keys
            if any(identity.get(key) != identities[0].get(key) for identity in identities)
        },
        "pairs": pairs,
        "unpaired": unpaired,
    }


def csv_rows(runs: Sequence[dict[str, object]]) -> Iterator[list[str]]:
    """Yields the header of a CSV and a row per run; 17 significant digits, empty if undefined."""
    yield list(runs[0])
    for run in runs:
        yield [
            "" if v is None else f"{v:.17g}" if isinstance(v, float) else str(v)
            for v in run.values()
        ]


def _row(report: Report, name: str) -> dict[str, object]:
    summary = report.summary
    row = {
        "run": report.name,
        "name": name,
        "data": summary["data"]["name"],
        "members": summary["num_members"],
        "samples": summary["num_samples"],
    }
    for key, number in main_numbers(summary).items():
        ends = number.quoted_interval
        over = None if ends is None else "samples and members" if number.interval else "samples"
        low, high = ends or (None, None)
        row |= {
            key: number.value,
            f"{key}_low": low,
            f"{key}_high": high,
            f"{key}_over": over,
        }
    return row | {"flags": " ".join(summary["alignment"].get("logit_slope", {}).get("flags", ()))}


def _mismatch(a: Report, b: Report) -> str | None:
    """Says why two runs are not known to be tested on the same samples; None if they are."""
    if len(_fingerprints(a, b) - {None}) > 1:
        return "tested on different data: their fingerprints differ"
    if not all(np.array_equal(a.samples[key], b.samples[key]) for key in ("index", "label")):
        return "tested on different samples: their index or labels differ"
    if all(NOISE in report.samples for report in (a, b)) and not np.allclose(
        a.samples[NOISE], b.samples[NOISE], rtol=0, atol=SAME_NOISE
    ):
        return "tested on different labels: they are soft in both runs, and their noise differs"
    if None in _fingerprints(a, b) and (np.diff(a.samples["label"]) >= 0).all():
        return (
            "not known to be tested on the same samples: they have no data fingerprint, and labels "
            "that are sorted agree by accident"
        )
    return None


def _fingerprints(*reports: Report) -> set[str | None]:
    return {report.summary["data"]["fingerprint"] for report in reports}


def _pair(a: Report, b: Report) -> dict[str, object]:
    """Measures the differences and the agreement of two runs, sample by sample."""
    both, other = a.samples["correct"] & b.samples["correct"], labels_differ(a, b)
    return {
        "runs": [a.name, b.name],
        "matched_by": "index and labels" if None in _fingerprints(a, b) else "fingerprint",
        **differences(a, b),
        "bias_sq_rank_correlation": None if other else _rank_correlation(a, b, "bias_sq"),
        "variance_rank_correlation": _rank_correlation(a, b, "variance"),
        "off_line_overlap": None if other else _overlap(_off_line(a, both), _off_line(b, both)),
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
