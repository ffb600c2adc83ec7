"""Figures of predictions without labels."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import counted, size, spread
from bvalign.show.figures.samples import (
    DISAGREEMENT_EDGES,
    disagreement_histogram,
    variance_over_confidence,
    variance_shown,
)
from bvalign.show.rounding import quoted


def unlabelled_plots(analysis: UnlabelledAnalysis) -> dict[str, Plot]:
    """Describes the figures, by file name; none for one member."""
    if analysis.num_members == 1:
        return {}
    return {"variance": _variance(analysis), "disagreement": _disagreement(analysis)}


def variance_figure(analysis: UnlabelledAnalysis, axes: Axes | None = None) -> Figure:
    """Plots variance over confidence.

    Args:
        analysis: the results.
        axes: to plot on; by default those of a new figure.

    Raises:
        ValueError: there is one member.
    """
    if analysis.num_members == 1:
        raise ValueError("one member has no variance; a plot needs two members, or labels")
    return variance_over_confidence(
        analysis["error_label_free"],
        analysis["variance"],
        analysis["disagreement"],
        num_members=analysis.num_members,
        num_classes=analysis.num_classes,
        axes=axes,
    )


def _variance(analysis: UnlabelledAnalysis) -> Plot:
    names = ("error_label_free", "variance", "disagreement")
    error, variance, disagreement = (analysis[name] for name in names)
    hidden = int((~variance_shown(error, variance)).sum())
    off = (
        f" {counted(hidden, 'sample')} with almost no variance are off the axes." if hidden else ""
    )
    caption = (
        "Variance of the members over the uncertainty of their mean prediction, one point per "
        "sample; colour: the fraction of pairs of members that predict different classes. No "
        "ensemble of as many members and classes reaches the grey area. Mean variance "
        f"{quoted(analysis.means['variance'])}, mean confidence "
        f"{quoted(analysis.means['confidence'])}.{off} "
        f"{size(analysis.num_samples, analysis.num_members, 'unlabelled sample')}"
    )
    alt = (
        f"Scatter plot with logarithmic axes of {len(variance):,} samples. 1 − confidence is "
        f"{spread(error)}; variance {spread(variance)}. Members disagree most, up to "
        f"{disagreement.max():.0%} of their pairs, where confidence is low."
    )
    numbers = {name: analysis[name] for name in ("index", *names)}
    return Plot(lambda: variance_figure(analysis), caption, alt, numbers)


def _disagreement(analysis: UnlabelledAnalysis) -> Plot:
    values = analysis["disagreement"]
    agreed = int((values == 0).sum())
    caption = (
        "The fraction of pairs of members that predict different classes, sample by sample. If "
        "vote shares are calibrated, its mean is the error rate of a member. Mean "
        f"{quoted(analysis.means['disagreement'])}; all members agree on "
        f"{counted(agreed, 'sample')}. "
        f"{size(analysis.num_samples, analysis.num_members, 'unlabelled sample')}"
    )
    alt = (
        f"Histogram of the disagreement of members on {len(values):,} samples, counts on a "
        f"logarithmic axis. On {agreed / len(values):.0%} of them all agree; the mean is "
        f"{values.mean():.3f}, the largest value {values.max():.2f}."
    )
    counts, edges = np.histogram(values, DISAGREEMENT_EDGES)
    numbers = {"low": edges[:-1], "high": edges[1:], "samples": counts}
    return Plot(lambda: disagreement_histogram(values), caption, alt, numbers)
