"""What the scatter of the page shows: axes, bounds, fitted lines and means of bins."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bvalign.analysis.groups import OF_GROUPS, member_groups
from bvalign.analysis.intervals.two_way import LEAST_MEMBERS
from bvalign.analysis.label_free import without_groups
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.show.figures import DECADES_SHOWN, feasible_variance, fitted_lines
from bvalign.show.quantities import title
from bvalign.show.report.explorer.bins import Points, bin_means

INFINITE = 2**31
"""Members of the population, for the region that its values can reach."""


class View(NamedTuple):
    """A choice of values."""

    title: str
    x: str  # column
    y: str
    lines: tuple[str, ...]  # estimators


VIEWS = {
    "plug_in": View("these members", "bias_sq", "variance", ("logit_slope", "ols")),
    "unbiased": View(
        "infinitely many (unbiased)", "bias_sq_unbiased", "variance_unbiased", ("logit_slope",)
    ),
}
UNLABELLED = View("these members", "error_label_free", "variance", ())

Ends = tuple[float, float]


def views(analysis: Analysis | UnlabelledAnalysis) -> dict[str, dict[str, object]]:
    """Describes the views by their key in the address; none without labels and variance."""
    several = analysis.num_members > 1
    if isinstance(analysis, UnlabelledAnalysis):
        return {"plug_in": _view(analysis, UNLABELLED, _left_out(analysis))} if several else {}
    left_out = _left_out(analysis)
    keys = list(VIEWS)[: 1 + several]
    return {key: _view(analysis, VIEWS[key], left_out) for key in keys}


def kinds(analysis: Analysis | UnlabelledAnalysis) -> np.ndarray:
    """0 for the samples of the first colour, 1 for those of the second (samples).

    They are right and wrong or, without labels, those on which all members agree and the others.
    """
    if isinstance(analysis, UnlabelledAnalysis):
        return (analysis["variance_01"] > 0).astype(np.int64)
    return (~analysis["correct"]).astype(np.int64)


def _left_out(analysis: Analysis | UnlabelledAnalysis) -> dict[str, np.ndarray]:
    """Columns of the axes, and `kind`, of some samples without each group (groups, some)."""
    members = analysis.num_members
    if members < LEAST_MEMBERS:
        return {}
    if isinstance(analysis, UnlabelledAnalysis):
        without = without_groups(analysis.kept.logits, member_groups(members))
        return {
            "error_label_free": without.error_label_free.numpy(),
            "variance": without.variance.numpy(),
            "kind": (without.variance_01.numpy() > 0).astype(np.int64),
        }
    kept = analysis.left_out
    sets = dict(zip(OF_GROUPS, kept.values.double().numpy(), strict=True))
    sizes = np.array(member_groups(members).sizes)
    left = (members - sizes)[:, None]
    variance = sets["variance_unbiased"] * (left - 1) / left
    noise = 0.0
    if analysis.soft_labels:
        noise = analysis.table.soft.noise.noise.numpy()[kept.positions.numpy()]
    bias_sq = sets["risk"] - noise - variance
    return {
        "bias_sq": bias_sq,
        "variance": variance,
        "bias_sq_unbiased": bias_sq - sets["variance_unbiased"] / left,
        "variance_unbiased": sets["variance_unbiased"],
        "kind": (sets["correct"] < 0.5).astype(np.int64),
    }


def _view(
    analysis: Analysis | UnlabelledAnalysis, view: View, left_out: dict[str, np.ndarray]
) -> dict[str, object]:
    x, y = analysis[view.x], analysis[view.y]
    log_x, log_y = _log_ends(x, y, square=view is not UNLABELLED)
    ends = _grid(10 ** log_x[0], max(10 ** log_x[1], 1.0))
    names = ["1 − confidence" if view is UNLABELLED else title(view.x), title(view.y)]
    columns = analysis.columns()
    return {
        "title": view.title,
        "x": view.x,
        "y": view.y,
        "names": names,
        "axes": [
            f"{name} ({columns[k].unit.name})" for name, k in zip(names, view[1:3], strict=True)
        ],
        "log": [log_x, log_y],
        "linear": [_linear(x, 1.05), _linear(y, 1.1)],
        "lines": _lines(analysis, view, x, y),
        "edge": _curve(ends, _most(analysis, view, ends)),
        "diagonal": view is not UNLABELLED,
        "bins": _bins(analysis, view, left_out),
    }


def _bins(
    analysis: Analysis | UnlabelledAnalysis, view: View, left_out: dict[str, np.ndarray]
) -> dict[str, object]:
    if analysis.num_members == 1:
        return {}
    points = Points(analysis[view.x], analysis[view.y], kinds(analysis))
    without = Points(*(left_out[k] for k in (view.x, view.y, "kind"))) if left_out else None
    clusters = analysis.member_part.clusters
    clusters = None if clusters is None else clusters.numpy()
    return {
        axes: bin_means(points, without, clusters, log=axes == "log") for axes in ("log", "linear")
    }


def _most(
    analysis: Analysis | UnlabelledAnalysis, view: View, x: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """Largest variance that is feasible; NaN where there is no bound.

    Variance is at most 1 - ‖p̄‖² <= 2a - a² K/(K-1) at a = 1 - max p̄, and at most M - 1 times the
    squared distance of p̄ from the predicted class, 2a² or less.
    """
    members, classes = analysis.num_members, analysis.num_classes
    if view is UNLABELLED:
        simplex = 2 * x - x**2 * classes / max(classes - 1, 1)
        bound = np.minimum(simplex, 2 * (members - 1) * x**2)
        return np.where(x <= 1 - 1 / classes, bound, np.nan)
    if analysis.soft_labels:
        return np.full_like(x, np.nan)
    return feasible_variance(x, members if view.x == "bias_sq" else INFINITE, classes)


def _lines(
    analysis: Analysis | UnlabelledAnalysis,
    view: View,
    x: Float[np.ndarray, " samples"],
    y: Float[np.ndarray, " samples"],
) -> list[dict[str, object]]:
    """Fitted lines over the range of the samples that they are fitted to, where feasible."""
    if not view.lines:
        return []
    with np.errstate(invalid="ignore"):
        rows = analysis["correct"] & (x > 0) & (y > 0)
    fitted, top = x[rows], y[rows].max(initial=0)
    low = max(fitted.min(initial=math.inf), fitted.max(initial=0) * 10.0**-DECADES_SHOWN)
    grid = _grid(low, fitted.max(initial=0))
    most = np.fmin(_most(analysis, view, grid), top)
    found = []
    for line in fitted_lines(analysis, view.lines):
        curve = line.at(grid)
        inside = (curve <= most) & (curve >= y[rows].min(initial=math.inf))
        said = {"estimator": line.name, "flagged": bool(line.flags), "name": str(line)}
        found.append(said | _curve(grid, np.where(inside, curve, np.nan)))
    return found


def _log_ends(
    x: Float[np.ndarray, " samples"], y: Float[np.ndarray, " samples"], *, square: bool
) -> tuple[Ends, Ends]:
    """Ends of both axes as powers of ten; the same, so that slope one is the diagonal, if asked."""
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    values = [v[usable] if usable.any() else np.array([1e-3, 1.0]) for v in (x, y)]
    if square:
        values = [np.concatenate(values)] * 2
    found = []
    for v in values:
        top = float(v.max()) * 2
        low = max(float(v.min()) / 2, top * 10.0**-DECADES_SHOWN)
        found.append((math.log10(low), math.log10(top)))
    return found[0], found[1]


def _linear(values: Float[np.ndarray, " samples"], room: float) -> Ends:
    """Ends of a linear axis: from zero, or below for the unbiased squared bias of soft labels."""
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=0)), room * float(finite.max(initial=0)) or 1.0


def _grid(low: float, high: float) -> Float[np.ndarray, " points"]:
    """Spaces points so that a curve is smooth on linear and on log axes."""
    if not 0 < low <= high:
        return np.zeros(0)
    return np.unique(np.concatenate([np.geomspace(low, high, 60), np.linspace(low, high, 60)]))


def _curve(
    x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]
) -> dict[str, list[float | None]]:
    """A curve with gaps where y is NaN."""

    def digits(values: Float[np.ndarray, " points"]) -> list[float | None]:
        return [None if math.isnan(v) else float(f"{v:.5g}") for v in values.tolist()]

    return {"x": digits(x), "y": digits(y)}
