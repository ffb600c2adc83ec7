"""The main results of a comparison in sentences."""

from collections.abc import Iterator, Mapping, Sequence

from bvalign.show.quantities import title
from bvalign.show.report.comparison.tables import Differences

MAIN = {"accuracy": (max, "Highest", ".1%"), "risk": (min, "Lowest", ".3g")}
"""Number -> which run is best in it, and how it is written."""

Run = Mapping[str, object]


def headline(comparison: Mapping[str, object], tables: Mapping[str, Differences]) -> Iterator[str]:
    """Says which run is best and how sure that is, and how far apart the slopes are.

    Args:
        comparison: the result of `compare_reports`.
        tables: the differences, by number.
    """
    runs = comparison["runs"]
    if comparison["unpaired"]:
        yield (
            "Not all of these runs were tested on the same samples; only those that were are "
            "compared in pairs."
        )
    else:
        for name in MAIN:
            yield _best(name, runs, tables[name])
    quotable = [run for run in runs if run["slope"] is not None and not run["flags"]]
    known = sorted(quotable, key=lambda run: run["slope"])
    if len(known) > 1:
        low, high = known[0], known[-1]
        ends = [f"{_quoted(run, 'slope', '.2f')} for {run['name']}" for run in (low, high)]
        found = tables.get("slope")
        apart = f"; {_apart(found)}" if found else ""
        yield f"Slopes of the population range from {' to '.join(ends)}{apart}."


def _best(name: str, runs: Sequence[Run], table: Differences) -> str:
    best_of, word, digits = MAIN[name]
    known = [place for place, run in enumerate(runs) if run[name] is not None]
    best = best_of(known, key=lambda place: runs[place][name])
    against = [row for row in table.rows if best in row.places]
    apart = sum(bool(row.found["apart"]) for row in against)
    if len(against) == 1:
        sure = f"the difference from the other run is {'' if apart else 'not '}resolved"
    else:
        verb = "is" if apart == 1 else "are"
        sure = f"{apart} of the {len(against)} differences from other runs {verb} resolved"
    run = runs[best]
    return f"{word} {title(name)}: {run['name']}, {_quoted(run, name, digits)}; {sure}."


def _apart(table: Differences) -> str:
    if len(table.rows) == 1:
        return f"the difference is {'' if table.apart else 'not '}resolved"
    verb = "is" if table.apart == 1 else "are"
    return f"{table.apart} of {len(table.rows)} differences {verb} resolved"


def _quoted(run: Run, name: str, digits: str) -> str:
    """A number of a run with its interval."""
    if run[f"{name}_low"] is None:
        return f"{run[name]:{digits}}"
    low, high = (f"{run[f'{name}_{end}']:{digits}}" for end in ("low", "high"))
    alone = ", samples alone" if run[f"{name}_over"] == "samples" else ""
    return f"{run[name]:{digits}} (95% CI {low} to {high}{alone})"
