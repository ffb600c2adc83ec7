"""The fitted lines of an analysis, as figures draw them."""

from collections.abc import Mapping, Sequence

from bvalign.analysis.slopes.intervals import Estimate, stored_estimates
from bvalign.analysis.summary import Analysis
from bvalign.show.figures.scatter import Line


def fitted_lines(analysis: Analysis, names: Sequence[str]) -> list[Line]:
    """Lines of those estimators that have a slope.

    Args:
        analysis: its `alignment`.
        names: keys of slopes.ESTIMATORS.
    """
    return _lines(analysis.alignment.estimators, names)


def summary_lines(summary: dict[str, object], names: Sequence[str]) -> list[Line]:
    """The same lines from a summary.json.

    Args:
        summary: its `alignment`.
        names: keys of slopes.ESTIMATORS.
    """
    return _lines(stored_estimates(summary["alignment"]), names)


def _lines(estimators: Mapping[str, Mapping[str, Estimate]], names: Sequence[str]) -> list[Line]:
    fits = {name: (estimators[name]["slope"], estimators[name]["intercept"]) for name in names}
    return [
        Line(name, slope.value, intercept.value, slope.quoted_interval)
        for name, (slope, intercept) in fits.items()
        if slope.value is not None
    ]
