"""The fitted lines of an analysis, as figures draw them."""

from collections.abc import Sequence

from bvalign.analysis.summary import Analysis
from bvalign.show.scatter import Line


def fitted_lines(analysis: Analysis, names: Sequence[str]) -> list[Line]:
    """Lines of those estimators that have a slope.

    Args:
        analysis: its `alignment`.
        names: keys of slopes.ESTIMATORS.
    """
    lines = []
    for name in names:
        fit = analysis.alignment.estimators[name]
        slope, intercept = fit["slope"], fit["intercept"]
        if slope.value is not None:
            interval = slope.interval or slope.interval_samples
            lines.append(Line(name, slope.value, intercept.value, interval))
    return lines


def summary_lines(summary: dict[str, object], names: Sequence[str]) -> list[Line]:
    """The same lines from a summary.json.

    Args:
        summary: its `alignment`.
        names: keys of slopes.ESTIMATORS.
    """
    lines = []
    for name in names:
        fit = summary["alignment"][name]
        slope, intercept = fit["slope"], fit["intercept"]
        if slope["value"] is not None:
            interval = slope["interval"] or slope["interval_samples"]
            lines.append(Line(name, slope["value"], intercept["value"], interval))
    return lines
