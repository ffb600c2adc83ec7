"""Lines of log variance over log squared bias, as figures show them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bvalign.analysis.intervals import Estimate, stored
from bvalign.analysis.summary import Analysis

TITLES = {
    "logit_slope": "population",
    "ols": "these members",
    "cross_half": "check by halves",
}
"""Estimator -> what its line describes, in every legend."""


class Line(NamedTuple):
    """A line of the correct samples in logarithms."""

    name: str  # key of TITLES
    slope: float
    intercept: float  # natural logarithm
    interval: tuple[float, float] | None = None  # 95%, of the slope
    samples_alone: bool = False  # whether that interval leaves out the members
    offset: Estimate | None = None  # that goes with the slope
    flags: tuple[str, ...] = ()  # reasons not to quote either

    def __str__(self) -> str:
        """The label of the line in every legend; the rest is for the caption."""
        alone = ", samples alone" if self.samples_alone else ""
        ends = "" if self.interval is None else " ({:.3f} to {:.3f}".format(*self.interval) + alone
        ends += ")" if ends else ""
        warning = ", do not quote" if self.flags else ""
        return f"{TITLES.get(self.name, self.name)}: slope {self.slope:.3f}{ends}{warning}"

    def at(self, bias_sq: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """Predicts the variance; clipped, so that an absurdly steep line stays finite."""
        return np.exp(np.clip(self.intercept + self.slope * np.log(bias_sq), -700, 700))

    def band(
        self, bias_sq: Float[np.ndarray, " points"], centre: float
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]] | None:
        """Lowest and highest line that the intervals of slope and offset allow, if there are any.

        Args:
            bias_sq: where the band is wanted.
            centre: log bias_sq about which the line turns.
        """
        if self.interval is None:
            return None
        edges = [self.turned(slope, centre).at(bias_sq) for slope in self.interval]
        low, high = np.log(np.minimum(*edges)), np.log(np.maximum(*edges))
        if self.offset is not None and self.offset.interval:
            low = low + self.offset.interval[0] - self.offset.value
            high = high + self.offset.interval[1] - self.offset.value
        return np.exp(np.clip(low, -700, 700)), np.exp(np.clip(high, -700, 700))

    def turned(self, slope: float, centre: float) -> "Line":
        """Rotates the line to another slope about its point at log bias_sq = centre."""
        intercept = self.intercept + (self.slope - slope) * centre
        return self._replace(slope=slope, intercept=intercept)


def fitted_lines(analysis: Analysis, names: Sequence[str]) -> list[Line]:
    """Returns the named lines, without those that have no slope.

    Args:
        analysis: its `alignment` is read.
        names: keys of TITLES.
    """
    found = analysis.alignment
    population = found.logit_slope
    fits = {
        "logit_slope": _line(
            "logit_slope",
            population.slope,
            population.intercept,
            population.offset,
            population.flags,
        )
    }
    for name, numbers in (("ols", found.ols), ("cross_half", found.cross_half)):
        fits[name] = _line(name, numbers["slope"], numbers["intercept"].value)
    return [line for line in map(fits.__getitem__, names) if line is not None]


def summary_lines(summary: dict[str, object], names: Sequence[str]) -> list[Line]:
    """Reads the same lines from a summary.json of this schema or of schema 1.

    Args:
        summary: its `alignment` is read.
        names: keys of TITLES; schema 1 has no `logit_slope`.
    """
    lines = []
    for name in names:
        if fit := summary["alignment"].get(name):
            intercept = fit["intercept"]
            if isinstance(intercept, dict):
                intercept = intercept["value"]
            offset = stored(fit["offset"]) if "offset" in fit else None
            flags = tuple(fit.get("flags", ()))
            lines.append(_line(name, stored(fit["slope"]), intercept, offset, flags))
    return [line for line in lines if line is not None]


def _line(
    name: str,
    slope: Estimate,
    intercept: float | None,
    offset: Estimate | None = None,
    flags: tuple[str, ...] = (),
) -> Line | None:
    if slope.value is None:
        return None
    alone = slope.interval is None and slope.interval_samples is not None
    return Line(name, slope.value, intercept, slope.quoted_interval, alone, offset, flags)
