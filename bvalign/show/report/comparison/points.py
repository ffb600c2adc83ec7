"""The data of the interactive scatter of a comparison: every run's samples, linked where paired."""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Int, Shaped

from bvalign.show.figures import DECADES_SHOWN, feasible_variance, summary_lines
from bvalign.show.report.comparison.stored_reports import Report
from bvalign.show.report.page.template import cut

MOST_POINTS = 40_000
"""Of all runs together; a browser without a graphics card draws as many in two seconds."""

OF_GROUPS = {"index": "<i4", "label": "<u2"}
OF_RUNS = {"bias_sq": "<f4", "variance": "<f4", "prediction": "<u2", "correct": "<u1"}
"""Columns of samples.csv in the page, and their types."""


def points(
    reports: Sequence[Report], comparison: Mapping[str, object], out: Path
) -> dict[str, object]:
    """Collects what the page plots, ready for JSON.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
        out: folder of the page, for links to the reports of the runs.

    Returns:
        `groups` of runs with the same samples, with the columns of OF_GROUPS and the names of the
        classes; `runs` with their `group`, the columns of OF_RUNS in its order and their line;
        `range` of both axes as powers of ten.
    """
    firsts = _firsts(reports, comparison)
    order = list(dict.fromkeys(firsts))
    return {
        "groups": [_group(reports[first], len(reports)) for first in order],
        "runs": [
            {
                "name": row["name"],
                "group": order.index(first),
                "columns": _columns(report, OF_RUNS, len(reports)),
                "line": _line(report),
                "report": _link(report, out),
            }
            for report, row, first in zip(reports, comparison["runs"], firsts, strict=True)
        ],
        "range": _range(reports),
    }


def drawn(samples: int, runs: int) -> Int[np.ndarray, " shown"]:
    """Selects the samples that the page holds: the same for runs of as many samples (seed 0).

    Args:
        samples: of a run.
        runs: that share MOST_POINTS.
    """
    return np.sort(np.random.default_rng(0).permutation(samples)[: MOST_POINTS // runs])


def _firsts(reports: Sequence[Report], comparison: Mapping[str, object]) -> list[int]:
    """For each run the first one that it is paired with, or itself."""
    places = {report.name: place for place, report in enumerate(reports)}
    firsts = list(range(len(reports)))
    for pair in comparison["pairs"]:
        a, b = (places[name] for name in pair["runs"])
        firsts[b] = min(firsts[b], firsts[a])
    return firsts


def _group(report: Report, runs: int) -> dict[str, object]:
    names = report.summary["data"].get("class_names")
    if not names:
        names = map(str, range(report.summary["num_classes"]))
    return {
        "columns": _columns(report, OF_GROUPS, runs),
        "classes": [cut(name, "name") for name in names],
    }


def _columns(report: Report, types: Mapping[str, str], runs: int) -> dict[str, dict[str, str]]:
    """The columns that the report has, as bytes."""
    rows = drawn(len(report.samples["index"]), runs)
    found = {name: kind for name, kind in types.items() if name in report.samples}
    return {name: _packed(report.samples[name][rows], kind) for name, kind in found.items()}


def _line(report: Report) -> dict[str, object] | None:
    """The least-squares line of these members over the samples it is fitted to, where feasible."""
    lines = summary_lines(report.summary, ("ols",))
    x, y, correct = (report.samples[name] for name in ("bias_sq", "variance", "correct"))
    fitted = x[correct & (x > 0) & (y > 0)]
    if not lines or not len(fitted):
        return None
    grid = np.geomspace(max(fitted.min(), fitted.max() * 10.0**-DECADES_SHOWN), fitted.max())
    values = lines[0].at(grid)
    if not report.summary.get("soft_labels"):
        sizes = report.summary["num_members"], report.summary["num_classes"]
        values = np.where(values > feasible_variance(grid, *sizes), math.nan, values)
    return {
        "x": [float(f"{value:.5g}") for value in grid],
        "y": [None if math.isnan(value) else float(f"{value:.5g}") for value in values.tolist()],
    }


def _range(reports: Sequence[Report]) -> list[float]:
    """Ends of both axes, the same, so that slope one is the diagonal."""
    values = np.concatenate([r.samples[name] for r in reports for name in ("bias_sq", "variance")])
    top = 3 * values.max(initial=0, where=np.isfinite(values)) or 1.0
    low = values.min(initial=top, where=values > top * 10.0**-DECADES_SHOWN)
    return [math.log10(low / 2), math.log10(top)]


def _link(report: Report, out: Path) -> str | None:
    page = report.folder / "report.html"
    if not page.is_file():
        return None
    return quote(os.fsencode(os.path.relpath(page, out).replace(os.sep, "/")))


def _packed(values: Shaped[np.ndarray, " shown"], kind: str) -> dict[str, str]:
    data = base64.b64encode(values.astype(kind).tobytes()).decode()
    return {"type": kind[1:], "data": data}
