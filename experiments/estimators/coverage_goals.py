"""The goals of the study, each with what was measured and whether it is reached."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rows import Row, binomial_interval

POOLED = (0.93, 0.97)
ONE_CELL = (0.92, 0.98)
ENOUGH_MEMBERS = 8
MOST_FLAGGED = 0.1
LEAST_UNFLAGGED = 0.85
MOSTLY_FLAGGED = 0.9


class Verdict(NamedTuple):
    """One line of the table of goals."""

    what: str
    goal: str
    measured: str
    verdict: str  # "reached", "missed", "no goal" or "not run"
    reason: str = ""


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Judges all goals on the cells that were run."""
    gaussian = [r for r in rows if r["group"] == "near_gaussian" and r["members"] >= ENOUGH_MEMBERS]
    few = [r for r in rows if r["group"] == "near_gaussian" and r["members"] < ENOUGH_MEMBERS]
    hard = [r for r in rows if r["group"] in ("heavy_tailed", "asymmetric")]
    found = []
    for name in ("slope", "offset"):
        found += [_pooled(f"{name}: pooled coverage, near-Gaussian, M >= 8", gaussian, _get(name))]
        found += [_each(f"{name}: one near-Gaussian cell, M >= 8", gaussian, _get(name))]
        for kind, some in _parts(gaussian).items():
            share = share_text(*pooled([row[name] for row in some]))
            found += [Verdict(f"{name}: pooled coverage, {kind}", "measured", share, "no goal")]
    found += [_flagged(gaussian)]
    found += [_hard(name, hard) for name in ("slope", "offset")]
    found += _means(gaussian)
    found += [_measured(name, few) for name in ("slope", "offset")]
    return [*found, _degenerate([r for r in rows if r["group"] == "degenerate"]), _outside(rows)]


def _parts(gaussian: Sequence[Row]) -> dict[str, list[Row]]:
    """Parts of the near-Gaussian cells that the documentation speaks of."""
    normal = [row for row in gaussian if "uniform" not in row["cell"]]
    new = [row for row in normal if row["cell"].startswith("new_")]
    return {"without uniform noise": normal, "of these, noises that are new": new}


def pooled(parts: Sequence[dict]) -> tuple[int, int]:
    """Intervals that hold the truth, and all intervals, of several cells together."""
    judged = [part for part in parts if "covered" in part]
    return sum(part["covered"] for part in judged), sum(part["intervals"] for part in judged)


def share_text(successes: int, trials: int) -> str:
    """A share with its binomial standard error."""
    if not trials:
        return "no interval"
    share = successes / trials
    return f"{share:.3f} ± {(share * (1 - share) / trials) ** 0.5:.3f}"


def _get(name: str) -> Callable[[Row], dict]:
    return lambda row: row[name]


def _mean(name: str) -> Callable[[Row], dict]:
    return lambda row: row["means"].get(name, {})


def _pooled(what: str, rows: Sequence[Row], part: Callable[[Row], dict]) -> Verdict:
    successes, trials = pooled([part(row) for row in rows])
    goal = "{:.2f} to {:.2f}".format(*POOLED)
    if not trials:
        return Verdict(what, goal, "no interval", "not run")
    share = successes / trials
    reached = POOLED[0] <= share <= POOLED[1]
    reason = "" if reached else "too wide" if share > POOLED[1] else "too narrow or off"
    return Verdict(what, goal, share_text(successes, trials), _word(reached), reason)


def _each(what: str, rows: Sequence[Row], part: Callable[[Row], dict]) -> Verdict:
    goal = "99% interval of its coverage meets {:.2f} to {:.2f}".format(*ONE_CELL)
    judged = [(row["cell"], part(row)) for row in rows if "covered" in part(row)]
    if not judged:
        return Verdict(what, goal, "no interval", "not run")
    missed = []
    for cell, one in judged:
        low, high = binomial_interval(one["covered"], one["intervals"], 0.99)
        if high < ONE_CELL[0] or low > ONE_CELL[1]:
            missed.append(f"{cell} {one['covered'] / one['intervals']:.2f}")
    measured = f"{len(judged) - len(missed)} of {len(judged)} cells"
    return Verdict(what, goal, measured, _word(not missed), ", ".join(missed))


def _flagged(rows: Sequence[Row]) -> Verdict:
    what, goal = "draws flagged, near-Gaussian, M >= 8", f"<= {MOST_FLAGGED:.0%}"
    flagged, draws = sum(row["flagged"] for row in rows), sum(_good(row) for row in rows)
    if not draws:
        return Verdict(what, goal, "", "not run")
    above = [
        f"{row['cell']} {row['flagged'] / _good(row):.0%}"
        for row in rows
        if row["flagged"] > MOST_FLAGGED * _good(row)
    ]
    reason = f"cells above: {', '.join(above)}" if above else "in every cell"
    return Verdict(
        what, goal, f"{flagged / draws:.1%}", _word(flagged <= MOST_FLAGGED * draws), reason
    )


def _hard(name: str, rows: Sequence[Row]) -> Verdict:
    what = f"{name}: heavy-tailed and asymmetric cells"
    goal = f"unflagged draws cover >= {LEAST_UNFLAGGED} or >= {MOSTLY_FLAGGED:.0%} are flagged"
    if not rows:
        return Verdict(what, goal, "", "not run")
    missed = []
    for row in rows:
        one, flagged = row[name]["unflagged"], row["flagged"] / max(_good(row), 1)
        covers = one.get("coverage", 0) >= LEAST_UNFLAGGED
        if flagged < MOSTLY_FLAGGED and not covers:
            share = f"{one['coverage']:.2f}" if "coverage" in one else "no interval"
            missed.append(f"{row['cell']} {share}, {flagged:.0%} flagged")
    measured = f"{len(rows) - len(missed)} of {len(rows)} cells"
    return Verdict(what, goal, measured, _word(not missed), "; ".join(missed))


def _means(rows: Sequence[Row]) -> list[Verdict]:
    """The goals of the slope for all means, those that miss by name."""
    judged = []
    for name in rows[0]["means"] if rows else ():
        part = _mean(name)
        judged.append((name, _pooled("", rows, part), _each("", rows, part)))
    lines = []
    for place, what in (
        (1, "every mean: pooled coverage, near-Gaussian, M >= 8"),
        (2, "every mean: one near-Gaussian cell, M >= 8"),
    ):
        run = [(one[0], one[place]) for one in judged if one[place].verdict != "not run"]
        missed = [f"{name} ({v.measured})" for name, v in run if v.verdict == "missed"]
        goal = "{:.2f} to {:.2f}".format(*POOLED) if place == 1 else "as for the slope"
        verdict = _word(not missed) if run else "not run"
        measured = f"{len(run) - len(missed)} of {len(run)} means"
        lines.append(Verdict(what, goal, measured, verdict, "; ".join(missed)))
    return lines


def _measured(name: str, rows: Sequence[Row]) -> Verdict:
    cells = [f"{row['cell']} {share_text(*pooled([row[name]]))}" for row in rows]
    return Verdict(f"{name}: coverage, M < 8", "measured", "; ".join(cells), "no goal")


def _degenerate(rows: Sequence[Row]) -> Verdict:
    what, goal = "degenerate input", "no slope quoted, always a reason or a flag, no error"
    bad = [
        f"{row['cell']}: {quoted} quoted, {silent} without a reason, {wrong} errors"
        for row in rows
        for quoted in [row["quoted"]]
        for silent in [row["no_slope"].get("no reason given", 0)]
        for wrong in [sum(row["errors"].values())]
        if quoted or silent or wrong
    ]
    if not rows:
        return Verdict(what, goal, "", "not run")
    return Verdict(
        what, goal, f"{len(rows) - len(bad)} of {len(rows)} cells", _word(not bad), "; ".join(bad)
    )


def _outside(rows: Sequence[Row]) -> Verdict:
    parts = [row[name] for row in rows for name in ("slope", "offset", "ols", "cross_half")]
    parts += [part for row in rows for part in row["means"].values()]
    outside, wrong = sum(p["outside"] for p in parts), sum(sum(r["errors"].values()) for r in rows)
    return Verdict(
        "values outside their own interval; draws that failed",
        "none",
        f"{outside}; {wrong}",
        _word(not outside and not wrong),
        "; ".join({error for row in rows for error in row["errors"]}),
    )


def _good(row: Row) -> int:
    return row["draws"] - sum(row["errors"].values())


def _word(reached: bool) -> str:
    return "reached" if reached else "missed"
