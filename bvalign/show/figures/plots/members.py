"""Figures about members: the disagreement of their pairs, and slopes over their number."""

from collections.abc import Mapping

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.show.figures.members import disagreement_over_error, shown_pairs
from bvalign.show.figures.over_members import Curve, slope_over_members
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import counted, size, warning
from bvalign.show.rounding import quoted


def disagreement_plot(analysis: Analysis) -> Plot:
    """Describes the disagreement of pairs over their error rates; needs two members."""
    error = 1 - analysis.member_accuracy.numpy()[analysis.paired.numpy()]
    disagreement = analysis.pair_disagreement.numpy()
    first, second = shown_pairs(len(error))
    x, y = (error[first] + error[second]) / 2, disagreement[first, second]
    members = analysis.num_members
    every = members * (members - 1) // 2
    drawn = f", of which {len(x):,} drawn at random are shown" if len(x) < every else ""
    caption = (
        f"The disagreement of pairs of members over their mean error rate ({counted(every, 'pair')}"
        f"{drawn}). On average the two are equal if vote shares are calibrated; below the line, "
        "members make the same mistakes more often than calibrated votes would. Mean error "
        f"{x.mean():.4f}, mean disagreement {y.mean():.4f}."
    )
    if analysis.soft_labels:
        caption += " Labels are soft: errors are those of their most probable class."
    side = "below" if y.mean() < x.mean() else "on or above"
    alt = (
        f"Scatter plot of {counted(len(x), 'pair')} of members. Error rates are "
        f"{x.min():.3f} to {x.max():.3f}, disagreement from {y.min():.3f} to {y.max():.3f}; the "
        f"mean of the pairs lies {side} the line of equality."
    )
    numbers = {
        "first": analysis.paired.numpy()[first],
        "second": analysis.paired.numpy()[second],
        "mean_error": x,
        "disagreement": y,
    }
    return Plot(
        lambda: disagreement_over_error(disagreement, error),
        f"{caption} {size(analysis.num_samples, members)}",
        alt,
        numbers,
    )


def slopes_plot(analysis: Analysis) -> Plot | None:
    """Describes slope and offset over the number of members; None without a smaller ensemble."""
    population, ols = analysis.alignment.logit_slope, analysis.alignment.ols["slope"]
    slopes = _curves(analysis, "slope", {"logit_slope": population.slope, "ols": ols})
    offsets = _curves(analysis, "offset", {"logit_slope": population.offset})
    if not any(curve.rows for curve in slopes.values()):
        return None
    members = analysis.num_members
    caption = (
        f"Slope{' (a) and offset (b)' if offsets else ''} of smaller ensembles of these members, "
        "no two with a member in common (thin bars: one standard deviation over them), and at the "
        f"right end those of all {members} with their 95% intervals. That of these members (ols) "
        "is about ensembles of just so many and changes with their number; that of the population "
        "(logit_slope) is about infinitely many, and needs six."
    )
    ends = {"slope of the population": population.slope, "offset": population.offset}
    ends["slope of these members"] = ols
    said = [f"{name} {quoted(end)}" for name, end in ends.items() if end.value is not None]
    caption += f" Of all members: {', '.join(said)}.{warning(population.flags)}"
    if analysis.num_drawn < analysis.num_samples:
        caption += f" Smaller ensembles: on {analysis.num_drawn:,} of the samples, drawn at random."
    alt = " ".join(
        f"{name.capitalize()} moves from {curve.rows[0][1]:.2f} at {curve.rows[0][0]} members to "
        f"{curve.whole.value:.2f} at {members}."
        for name, curve in (
            ("slope of the population", slopes.get("logit_slope")),
            ("slope of these members", slopes.get("ols")),
            ("offset of the population", offsets.get("logit_slope")),
        )
        if curve is not None and curve.rows
    )
    return Plot(
        lambda: slope_over_members(slopes, offsets, num_members=members, flags=population.flags),
        f"{caption} {size(analysis.num_samples, members)}",
        f"Curves over the number of members. {alt}",
        _numbers(members, {"slope": slopes, "offset": offsets}),
    )


def _curves(analysis: Analysis, number: str, whole: Mapping[str, Estimate]) -> dict[str, Curve]:
    """Reads the estimators that have a value for all members."""
    return {
        name: Curve(
            [
                (row["members"], row["mean"], row["spread"])
                for row in analysis.alignment.curve
                if (row["estimator"], row["number"]) == (name, number)
                and row["members"] < analysis.num_members
            ],
            estimate,
        )
        for name, estimate in whole.items()
        if estimate.value is not None
    }


def _numbers(
    num_members: int, panels: Mapping[str, Mapping[str, Curve]]
) -> dict[str, list[object]]:
    """One row for each point, with a deviation or the ends of an interval."""
    nan, rows = float("nan"), []
    for number, curves in panels.items():
        for name, curve in curves.items():
            rows += [(number, name, m, mean, sd, nan, nan) for m, mean, sd in curve.rows]
            ends = curve.whole.quoted_interval or (nan, nan)
            rows.append((number, name, num_members, curve.whole.value, nan, *ends))
    names = ("number", "estimator", "members", "value", "standard_deviation", "low", "high")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
