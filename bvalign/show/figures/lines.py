"""Lines fitted to the logarithms of squared bias and variance, as figures show them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bvalign.analysis.slopes import Estimate, stored_estimates
from bvalign.analysis.summary import Analysis


class Line(NamedTuple):
    """A line fitted to the logarithms of the correct samples."""

    name: str  # key of slopes.ESTIMATORS
    slope: float
    intercept: float  # natural logarithm
    interval: tuple[float, float] | None = None  # 95%, of the slope

    def __str__(self) -> str:
        """What every legend calls it."""
        ends = "" if self.interval is None else ", 95% {:.3f} to {:.3f}".format(*self.interval)
        return f"{self.name}: slope {self.slope:.3f}{ends}"

    def at(self, bias_sq: np.ndarray) -> np.ndarray:
        """The variance it predicts; a slope beyond all reason stays finite."""
        return np.exp(np.clip(self.intercept + self.slope * np.log(bias_sq), -700, 700))

    def turned(self, slope: float, centre: float) -> "Line":
        """The line of another slope through the same point at log bias_sq = centre."""
        intercept = self.intercept + (self.slope - slope) * centre
        return self._replace(slope=slope, intercept=intercept)


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
