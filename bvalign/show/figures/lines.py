"""Lines fitted to log variance over log squared bias, as figures show them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bvalign.analysis.slopes import Estimate, stored_estimates
from bvalign.analysis.summary import Analysis


class Line(NamedTuple):
    """A line fitted to the correct samples in logarithms."""

    name: str  # key of slopes.ESTIMATORS
    slope: float
    intercept: float  # natural logarithm
    interval: tuple[float, float] | None = None  # 95%, of the slope

    def __str__(self) -> str:
        """The label of the line in every legend."""
        ends = "" if self.interval is None else ", 95% {:.3f} to {:.3f}".format(*self.interval)
        return f"{self.name}: slope {self.slope:.3f}{ends}"

    def at(self, bias_sq: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """Predicts the variance; clipped, so that an absurdly steep line stays finite."""
        return np.exp(np.clip(self.intercept + self.slope * np.log(bias_sq), -700, 700))

    def turned(self, slope: float, centre: float) -> "Line":
        """Rotates the line to another slope about its point at log bias_sq = centre."""
        intercept = self.intercept + (self.slope - slope) * centre
        return self._replace(slope=slope, intercept=intercept)


def fitted_lines(analysis: Analysis, names: Sequence[str]) -> list[Line]:
    """Returns the lines of the named estimators, without those that have no slope.

    Args:
        analysis: its `alignment` is read.
        names: keys of slopes.ESTIMATORS.
    """
    return _lines(analysis.alignment.estimators, names)


def summary_lines(summary: dict[str, object], names: Sequence[str]) -> list[Line]:
    """Reads the same lines from a summary.json.

    Args:
        summary: its `alignment` is read.
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
