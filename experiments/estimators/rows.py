"""The draws of a cell as one row: bias, RMSE, coverage, width, flags, with Monte Carlo errors."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from cells import Cell
from draws import Draw
from measure import LINES
from scipy.stats import beta
from truths import Truth

Row = dict[str, object]

DIGITS = 5
"""Significant digits of the stored numbers."""


def row_of(cell: Cell, draws: Sequence[Draw], truth: Truth) -> Row:
    """Returns everything the study says about one cell, as plain data.

    Args:
        cell: noise, M, N, K, group.
        draws: finished ones.
        truth: its true values.
    """
    good = [one for one in draws if "error" not in one]
    unflagged = [one for one in good if not one["flags"]]
    named = Counter(flag for one in good for flag in one["flags"])
    missing = [one for one in good if one["slope"] is None]
    reasons = Counter(one["reason"].get("slope") or "no reason given" for one in missing)
    row = {
        "cell": cell.name,
        **cell._asdict(),
        "draws": len(draws),
        "errors": dict(Counter(one["error"] for one in draws if "error" in one)),
        "seconds": _short(np.mean([one["seconds"] for one in good])) if good else None,
        "flagged": len(good) - len(unflagged),
        "flags": dict(named),
        "no_slope": dict(reasons),
        "quoted": sum(one["slope"] is not None and one["quotable"] for one in good),
    }
    for name in ("slope", "offset", *LINES):
        value = truth["slope" if name in LINES else name]
        row[name] = errors([one[name] for one in good], value)
    for name in ("slope", "offset"):
        row[name]["unflagged"] = errors([one[name] for one in unflagged], truth[name])
    means = truth["means"].items()
    row["means"] = {n: errors([one["means"].get(n) for one in good], t) for n, t in means}
    return row


def errors(
    numbers: Sequence[list[float | None] | None], truth: Sequence[float] | None
) -> dict[str, float | int | None]:
    """Errors of the numbers of all draws.

    Args:
        numbers: [value, low, high] of each draw, None where there is no number.
        truth: true value and its error; None where there is none.

    Returns:
        numbers, intervals, covered: how many draws gave a value, an interval, one that holds the
        truth; outside: values outside their own interval; bias, rmse, coverage, each with `_error`,
        one Monte Carlo standard error; half_width, the mean; truth_error, the error of the truth as
        a fraction of the mean half-width.
    """
    given = np.array([one for one in numbers if one is not None], dtype=float).reshape(-1, 3)
    value, low, high = given[np.isfinite(given[:, 0])].T
    has = np.isfinite(low) & np.isfinite(high)
    outside = (value < low) | (value > high)
    result = {"truth": truth and truth[0], "numbers": len(value), "intervals": int(has.sum())}
    result |= {"outside": int(outside.sum())}
    half = float(np.mean(high[has] - low[has]) / 2) if has.any() else None
    result |= {"half_width": half and _short(half)}
    if truth is None or not len(value):
        return result
    error = value - truth[0]
    result |= _mean_error("bias", error) | _rmse(error)
    if not has.any():
        return result
    inside = (low[has] <= truth[0]) & (truth[0] <= high[has])
    share = float(inside.mean())
    result |= {"covered": int(inside.sum()), "coverage": _short(share)}
    result |= {"coverage_error": _short((share * (1 - share) / len(inside)) ** 0.5)}
    return result | {"truth_error": _short(truth[1] / half) if half else None}


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a share.

    >>> [round(end, 4) for end in binomial_interval(0, 10)]          # 1 - 0.025^(1/10)
    [0.0, 0.3085]
    """
    tail, failures = (1 - level) / 2, trials - successes
    low = beta.ppf(tail, successes, failures + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, failures) if failures else 1.0
    return float(low), float(high)


def _mean_error(name: str, error: np.ndarray) -> dict[str, float | None]:
    spread = float(error.std(ddof=1) / len(error) ** 0.5) if len(error) > 1 else None
    return {name: _short(float(error.mean())), f"{name}_error": spread and _short(spread)}


def _rmse(error: np.ndarray) -> dict[str, float | None]:
    rmse = float(np.sqrt(np.mean(error**2)))
    one = None
    if len(error) > 1 and rmse:
        one = _short(float(np.std(error**2, ddof=1) / len(error) ** 0.5 / (2 * rmse)))
    return {"rmse": _short(rmse), "rmse_error": one}


def _short(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")
