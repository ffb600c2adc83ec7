"""The data of the interactive scatter of the report, as compact JSON."""

import base64
import json

import numpy as np
from jaxtyping import Float, Int, Shaped

from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions
from bvalign.show.figures import DECADES_SHOWN, feasible_variance, fitted_lines
from bvalign.show.report.page.template import cut

MOST_POINTS = 20_000
"""With more samples the page plots their density, and only the most extreme ones as points."""

EXTREME_POINTS = 1500
MOST_SAMPLES = 60_000
"""With more samples the page holds the extremes and a random subset (seed 0)."""

TEXT_BYTES = 2**20
TYPES = {"index": "<i4", "label": "<u2", "prediction": "<u2", "correct": "<u1"}
"""Columns that every page needs, and their types."""

EXACT = {"bias_sq": "<f8", "variance": "<f8"}
"""Columns of the plug-in scatter; other columns are rounded to float32."""

VIEWS = {
    "plug_in": ("plug-in (these members)", "bias_sq", "variance", ("logit_slope", "ols")),
    "unbiased": (
        "unbiased (infinitely many)",
        "bias_sq_unbiased",
        "variance_unbiased",
        ("logit_slope",),
    ),
}
"""Choice of values -> title, columns of the axes, lines."""


def samples_in_page(order: Int[np.ndarray, " samples"]) -> Int[np.ndarray, " shown"]:
    """Selects the samples that the page holds, the extremes first.

    Args:
        order: the result of `extremes_first`.
    """
    if len(order) <= MOST_SAMPLES:
        return order
    rest = np.random.default_rng(0).permutation(order[EXTREME_POINTS:])
    return np.concatenate([order[:EXTREME_POINTS], rest[: MOST_SAMPLES - EXTREME_POINTS]])


def explorer(
    analysis: Analysis, class_names: tuple[str, ...], shown: Int[np.ndarray, " shown"]
) -> dict[str, object]:
    """Collects the values of the samples, fitted lines and ranges of axes, ready for JSON.

    Args:
        analysis: the results.
        class_names: one per class.
        shown: the result of `samples_in_page`; arrays keep its order.
    """
    columns, lead = analysis.columns(), analysis.table.leading
    several = analysis.num_members > 1
    card = [
        name
        for name, column in columns.items()
        if column.unit.shown and name not in TYPES and column.values.isfinite().any()
    ]
    types = TYPES | dict.fromkeys(card, "<f4") | EXACT
    if several:
        types |= dict.fromkeys(("bias_sq_unbiased", "variance_unbiased"), "<f4")
    if "num_options" in columns:
        types["num_options"] = "<u2"
    packed = {
        name: _packed(columns[name].values.numpy()[shown], kind) for name, kind in types.items()
    }
    packed |= {
        "classes": _packed(lead.classes.numpy()[shown], "<u2"),
        "probs": _packed(lead.probs.numpy()[shown], "<f4"),
        "votes": _packed(lead.votes.numpy()[shown], "<u2"),
    }
    return {
        "num_samples": analysis.num_samples,
        "num_members": analysis.num_members,
        "top": lead.classes.shape[1],
        "classes": list(class_names),
        "points": EXTREME_POINTS if len(shown) > MOST_POINTS else len(shown),
        "columns": packed,
        "card": [{"name": name, "unit": columns[name].unit.name} for name in card],
        "views": {name: _view(analysis, *VIEWS[name]) for name in list(VIEWS)[: 1 + several]},
    }


def texts_in_page(predictions: Predictions, shown: Int[np.ndarray, " shown"]) -> list[str]:
    """Returns the texts of the first samples of the page, as many as fit into TEXT_BYTES, cut."""
    if predictions.texts is None:
        return []
    texts, left = [], TEXT_BYTES
    for row in shown.tolist():
        text = cut(predictions.texts[row], "text")
        left -= len(text.encode())
        if left < 0:
            break
        texts.append(text)
    return texts


def as_script(value: object) -> str:
    """Encodes JSON for the inside of a `<script>`: no text in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _view(
    analysis: Analysis, title: str, x_name: str, y_name: str, names: tuple[str, ...]
) -> dict[str, object]:
    """Describes one choice of values: axes, fitted lines, and bounds of the feasible region."""
    x, y, correct = (analysis[name] for name in (x_name, y_name, "correct"))
    positive = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    both = np.concatenate([x[positive], y[positive]]) if positive.any() else np.array([1e-3, 1.0])
    top = float(both.max()) * 2
    low = max(float(both.min()) / 2, top * 10.0**-DECADES_SHOWN)
    fitted = x[positive & correct]
    grid = _grid(max(low, fitted.min(initial=np.inf)), fitted.max(initial=0))
    lines = [
        {
            "estimator": fit.name,
            "flagged": bool(fit.flags),
            **_line(str(fit), grid, fit.at(grid)),
        }
        for fit in fitted_lines(analysis, names)
    ]
    ends = _grid(low, max(top, 1.0))
    bounds = [_line("variance = bias²", ends, ends)]
    if x_name == "bias_sq" and not analysis.soft_labels:
        edge = feasible_variance(ends, analysis.num_members, analysis.num_classes)
        bounds.append(_line("feasibility bound", ends, edge))
    return {
        "title": title,
        "x": x_name,
        "y": y_name,
        "log": [float(np.log10(low)), float(np.log10(top))],
        "linear": [_linear(x, 1.05), _linear(y, 1.1)],
        "lines": lines,
        "bounds": bounds,
    }


def _linear(values: Float[np.ndarray, " samples"], room: float) -> list[float]:
    """Range of a linear axis: from zero, or below for the unbiased squared bias of soft labels."""
    finite = values[np.isfinite(values)]
    return [float(finite.min(initial=0)), room * float(finite.max(initial=0)) or 1.0]


def _grid(low: float, high: float) -> Float[np.ndarray, " points"]:
    """Spaces points so that a curve is smooth on linear and on log axes."""
    if not 0 < low <= high:
        return np.zeros(0)
    return np.unique(np.concatenate([np.geomspace(low, high, 60), np.linspace(low, high, 60)]))


def _line(
    name: str, x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]
) -> dict[str, object]:
    def digits(values: Float[np.ndarray, " points"]) -> list[float]:
        return [float(f"{value:.5g}") for value in values]

    return {"name": name, "x": digits(x), "y": digits(y)}


def _packed(values: Shaped[np.ndarray, "shown ..."], kind: str) -> dict[str, str]:
    """Encodes a typed array of little-endian numbers."""
    data = base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()
    return {"type": kind[1:], "data": data}
