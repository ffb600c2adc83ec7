"""Figures that compare runs, with what stands beside them."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import counted, off_the_axes
from bvalign.show.figures.runs import (
    PARTS,
    PairedDifference,
    RunScatter,
    RunSlopes,
    alignment_multiples,
    paired_differences,
    slopes,
)
from bvalign.show.figures.scatter import shown
from bvalign.show.rounding import quoted


def scatters_plot(runs: Mapping[str, RunScatter]) -> Plot:
    """Describes one scatter per run."""
    sizes = "; ".join(
        f"{name}: N = {len(run.correct):,}, M = {run.num_members}" for name, run in runs.items()
    )
    off = off_the_axes(np.concatenate([shown(run.panel) for run in runs.values()]))
    caption = (
        "Variance over squared bias of each run, plug-in values, one point per test sample, all on "
        "the same axes, which span the same decades, so that slope one is the diagonal. Lines are "
        f"of the samples that the ensemble gets right.{off} {sizes}."
    )
    said = [
        f"{name}: {np.mean(run.correct):.1%} correct, median squared bias "
        f"{np.median(run.panel.bias_sq):.2g}, median variance {np.median(run.panel.variance):.2g}"
        for name, run in runs.items()
    ]
    lines = [(name, line) for name, run in runs.items() for line in run.panel.lines]
    nan = (math.nan, math.nan)
    rows = [
        (name, line.name, line.slope, line.intercept, *(line.interval or nan))
        for name, line in lines
    ]
    names = ("run", "estimator", "slope", "intercept", "slope_low", "slope_high")
    alt = f"{counted(len(runs), 'scatter plot')} with logarithmic axes. {'; '.join(said)}."
    return Plot(lambda: alignment_multiples(runs), caption, alt, _columns(names, rows))


def slopes_of_runs_plot(runs: Mapping[str, RunSlopes]) -> Plot:
    """Describes slopes and offset of each run."""
    fields = {"slope": "population slope", "offset": "offset", "ols": "slope of these members"}
    said = "; ".join(
        f"{name}: "
        + ", ".join(f"{words} {quoted(getattr(run, field))}" for field, words in fields.items())
        + (", flagged" if run.flagged else "")
        for name, run in runs.items()
    )
    caption = (
        "Slope and offset of the population (logit_slope), and the slope of these members (ols), "
        "with 95% intervals. Whether two runs differ is in the paired differences: intervals that "
        f"overlap do not say. {said}."
    )
    values = [run.slope.value for run in runs.values() if run.slope.value is not None]
    spread = f", from {min(values):.2f} to {max(values):.2f}" if values else ""
    alt = f"Population slopes of {counted(len(runs), 'run')}{spread}, with intervals. {said}."
    rows = [
        (name, field, *_ends(getattr(run, field)), run.flagged)
        for name, run in runs.items()
        for field in fields
    ]
    names = ("run", "number", "value", "low", "high", "flagged")
    return Plot(lambda: slopes(runs), caption, alt, _columns(names, rows))


def differences_plot(pairs: Mapping[str, Mapping[str, PairedDifference]], most: int) -> Plot:
    """Describes the differences of pairs of runs.

    Args:
        pairs: pair -> number -> its difference.
        most: pairs that are drawn.
    """
    drawn = dict(list(pairs.items())[:most])
    left = f" The first {most} of {len(pairs)} pairs." if len(pairs) > most else ""
    caption = (
        "Δ is the first run minus the second, over the same samples, with 95% intervals, and the "
        "shares of its variance: more samples reduce one, more members of either run the "
        f"others.{left} {' '.join(_told(drawn))}"
    )
    apart = sum(found.apart for pair in drawn.values() for found in pair.values())
    every = sum(len(pair) for pair in drawn.values())
    alt = f"{apart} of {counted(every, 'difference')} are told apart from zero. " + " ".join(
        _told(drawn)
    )
    rows = [
        (name, number, *_ends(found.difference), found.apart, *_padded(found))
        for name, pair in drawn.items()
        for number, found in pair.items()
    ]
    names = ("pair", "number", "value", "low", "high", "apart", *PARTS)
    return Plot(lambda: paired_differences(drawn), caption, alt, _columns(names, rows))


def _told(pairs: Mapping[str, Mapping[str, PairedDifference]]) -> Iterator[str]:
    for name, pair in pairs.items():
        found = [f"{number} {quoted(d.difference)}" for number, d in pair.items() if d.apart]
        yield f"{name}: {', '.join(found) or 'nothing is told apart'}."


def _ends(number: Estimate) -> tuple[float, ...]:
    nan = math.nan
    value = nan if number.value is None else number.value
    return value, *(number.quoted_interval or (nan, nan))


def _padded(found: PairedDifference) -> tuple[float, ...]:
    return tuple(found.shares) or (math.nan,) * len(PARTS)


def _columns(names: tuple[str, ...], rows: list[tuple[object, ...]]) -> dict[str, list[object]]:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return dict(zip(names, map(list, columns), strict=True))
