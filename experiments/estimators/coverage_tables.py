"""The rows of all cells as the tables of results.md."""

from collections.abc import Sequence

from cells import GROUPS
from coverage_goals import ENOUGH_MEMBERS, pooled, share_text, verdicts
from rows import Row

MOST_TRUTH_ERROR = 1 / 20
"""Largest error of a true value, as a fraction of an interval's half-width."""


def markdown(rows: Sequence[Row], header: str) -> str:
    """All tables; ± is one Monte Carlo standard error."""
    parts = ["# The slope and its interval on simulated ensembles", header]
    parts += ["## Goals", _goals(rows)]
    for name in ("slope", "offset"):
        parts += [f"## {name.capitalize()} of `logit_slope`", _numbers(rows, name)]
    parts += ["## Slopes of `ols` and `cross_half`, which describe these members", _lines(rows)]
    parts += ["## Flags: share of draws", _flags(rows)]
    parts += ["## Means: coverage of their intervals", _means(rows)]
    parts += ["## Means: coverage in each cell, in percent", _means_by_cell(rows)]
    return "\n\n".join(parts) + "\n"


def _goals(rows: Sequence[Row]) -> str:
    lines = [[v.what, v.goal, v.measured, f"**{v.verdict}**", v.reason] for v in verdicts(rows)]
    return table(["what", "goal", "measured", "verdict", "why, or which cells"], lines)


def _numbers(rows: Sequence[Row], name: str) -> str:
    head = "cell group draws truth bias RMSE coverage half-width flagged".split()
    head += ["coverage, unflagged", "no number"]
    lines = []
    for row in rows:
        one, good = row[name], row["draws"] - sum(row["errors"].values())
        lines.append(
            [
                row["cell"],
                row["group"],
                str(row["draws"]),
                _number(one["truth"]),
                _with_error(one, "bias", "+.4f"),
                _with_error(one, "rmse", ".4f"),
                _with_error(one, "coverage", ".3f"),
                _number(one["half_width"]),
                _percent(row["flagged"], good),
                _with_error(one["unflagged"], "coverage", ".3f"),
                _percent(good - one["numbers"], good),
            ]
        )
    return table(head, lines)


def _lines(rows: Sequence[Row]) -> str:
    head = ["cell", "truth"]
    for name in ("ols", "cross_half"):
        head += [f"`{name}`: bias", "RMSE", "coverage", "half-width"]
    lines = []
    for row in rows:
        line = [row["cell"], _number(row["ols"]["truth"])]
        for one in (row["ols"], row["cross_half"]):
            line += [_with_error(one, "bias", "+.4f"), _with_error(one, "rmse", ".4f")]
            line += [_with_error(one, "coverage", ".3f"), _number(one["half_width"])]
        lines.append(line)
    return table(head, lines)


def _flags(rows: Sequence[Row]) -> str:
    names = sorted({flag for row in rows for flag in row["flags"]})
    lines = []
    for row in rows:
        good = row["draws"] - sum(row["errors"].values())
        shares = [_percent(row["flags"].get(name, 0), good) for name in names]
        reasons = "; ".join(f"{reason} ({n})" for reason, n in row["no_slope"].items())
        lines.append([row["cell"], *shares, reasons])
    return table(["cell", *names, "why there is no slope (draws)"], lines)


def _means(rows: Sequence[Row]) -> str:
    kinds = {f"near_gaussian, M >= {ENOUGH_MEMBERS}": _group(rows, "near_gaussian", few=False)}
    kinds |= {f"near_gaussian, M < {ENOUGH_MEMBERS}": _group(rows, "near_gaussian", few=True)}
    kinds |= {group: [r for r in rows if r["group"] == group] for group in GROUPS[1:]}
    lines = []
    for name in dict.fromkeys(name for row in rows for name in row["means"]):
        of_name = [(row["cell"], row["means"].get(name, {})) for row in rows]
        judged = [(one["coverage"], cell) for cell, one in of_name if "coverage" in one]
        worst = "{:.3f} {}".format(*min(judged)) if judged else ""
        truth_error = max((one.get("truth_error") or 0 for _, one in of_name), default=0)
        note = "" if truth_error <= MOST_TRUTH_ERROR else " too large"
        parts = [[row["means"].get(name, {}) for row in some] for some in kinds.values()]
        shares = [share_text(*pooled(some)) for some in parts]
        lines.append([name, *shares, worst, f"{truth_error:.3f}{note}"])
    head = ["mean", *kinds, "lowest cell", "largest error of a truth / half-width"]
    return table(head, lines)


def _group(rows: Sequence[Row], group: str, *, few: bool) -> list[Row]:
    return [r for r in rows if r["group"] == group and (r["members"] < ENOUGH_MEMBERS) == few]


def _means_by_cell(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["means"]))
    lines = []
    for row in rows:
        parts = [row["means"].get(name, {}).get("coverage") for name in names]
        lines.append([row["cell"], *("" if p is None else f"{100 * p:.0f}" for p in parts)])
    return table(["cell", *names], lines)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _with_error(part: dict, name: str, digits: str) -> str:
    if part.get(name) is None:
        return ""
    error = part.get(f"{name}_error")
    return f"{part[name]:{digits}}" + ("" if error is None else f" ± {error:{digits.strip('+')}}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""
