"""The charts of decisions."""

import math

from bvalign.decisions import Card, Chart, Curve
from bvalign.show.figures.charts import chart
from bvalign.show.figures.plot import Plot


def chart_plot(card: Card, num_samples: int, num_members: int) -> Plot | None:
    """Describes the chart of a card; None if it has none.

    Args:
        card: of a decision.
        num_samples: N.
        num_members: M.
    """
    data = card.chart
    if data is None:
        return None
    about = " ".join(text for text in (card.question, card.answer, card.assumption) if text)
    interval = (
        " Bars and bands: 95% intervals." if any(c.low is not None for c in data.curves) else ""
    )
    caption = f"{about}{interval} N = {num_samples:,} samples, M = {num_members} members."
    return Plot(lambda: chart(data), caption, _alt(data), _numbers(data))


def _alt(data: Chart) -> str:
    if data.ticks:
        rows = [
            f"{tick} {value:.3g}"
            for curve in data.curves
            if curve.style == "points"
            for value, place in zip(curve.x, curve.y, strict=True)
            for tick in [data.ticks[round(place)] if place == round(place) else curve.name]
        ]
        return f"Points with names: {data.x_label} of {', '.join(rows)}."
    said = [text for text in map(_course, data.curves) if text]
    return f"{data.y_label} over {data.x_label}. {' '.join(said)}"


def _course(curve: Curve) -> str:
    """Says where a curve begins and ends."""
    if not len(curve.x):
        return ""
    name = curve.name or "The curve"
    ends = [f"{value:.3g}" for value in (curve.y[0], curve.x[0], curve.y[-1], curve.x[-1])]
    if len(curve.x) == 1:
        return "{} is at {} for {}.".format(name, *ends[:2])
    return "{} goes from {} at {} to {} at {}.".format(name, *ends)


def _numbers(data: Chart) -> dict[str, list[object]]:
    """One row for each point."""
    rows = []
    for curve in data.curves:
        nothing = [math.nan] * len(curve.x)
        low, high = (nothing if ends is None else ends for ends in (curve.low, curve.high))
        rows += [
            (curve.name, x, y, *ends)
            for x, y, *ends in zip(curve.x, curve.y, low, high, strict=True)
        ]
    names = ("curve", data.x_label, data.y_label or "position", "low", "high")
    columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)
    numbers = dict(zip(names, columns, strict=True))
    if data.ticks:
        numbers["name"] = [
            data.ticks[round(y)] if 0 <= round(y) < len(data.ticks) else ""
            for y in numbers[data.y_label or "position"]
        ]
    return numbers
