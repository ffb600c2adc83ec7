"""Draws the four figures of docs/findings.md for papers: PDF, PNG, caption and numbers of each.

    python experiments/lab/paper_figures.py                  # minutes; into experiments/figures
    python experiments/lab/paper_figures.py --only slopes    # seconds

    alignment   variance over squared bias of four ensembles, from their committed logits
    slopes      slope and offset of every ensemble: results of the studies in ENSEMBLES
    mechanism   what makes the slope: the budget of the study `mechanism`
    sharing     offset over the part of the training that members share (`shared_start`), and slopes
                over the number of members (curves of `finite_members` in `sensitivity`)

A figure whose results are missing is not drawn, and one that is there is kept. No number is typed.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path

from paper_panels import MECHANISM, budgets, families, shared_and_finite
from paper_results import BERT, Line, finite_lines, numbers_with, shared_lines
from verdicts import Number, Numbers, estimate_of, number_text

from bvalign.commands.passes import analyze_predictions
from bvalign.predictions import open_predictions
from bvalign.show.figures import Panel, Plot, RunScatter, fitted_lines
from bvalign.show.figures.lines import TITLES
from bvalign.show.figures.plots import scatters_plot
from bvalign.show.figures.runs import RunSlopes
from bvalign.show.report.figure_files import write_figures

EXPERIMENTS = Path(__file__).resolve().parents[1]

SCATTERS = ("cifar10", "digits", "fashion-mnist", "trec")
"""Folders of experiments/ensembles in the figure `alignment`."""

FAMILIES = {
    "fine-tuned": ["*bert*"],
    "of other people": ["others-*"],
    "text": ["trec*"],
    "images": ["*"],
}
"""Family of ensembles -> patterns of their names; the first that fits."""

ENSEMBLES = ("mechanism", "alignment")
"""Studies whose runs are in the figure `slopes`; where both have one, it is the last's."""


def plots(folder: Path) -> dict[str, Callable[[], Plot]]:
    """The figures whose results are below a folder, by name; each is described when called.

    Args:
        folder: experiments.
    """
    found: dict[str, Callable[[], Plot]] = {}
    if all((folder / "ensembles" / name / "labels.npy").exists() for name in SCATTERS):
        found["alignment"] = lambda: _alignment(folder)
    ensembles: dict[str, Numbers] = {}
    for study in ENSEMBLES:
        ensembles |= numbers_with(folder, study, "slope.logit_slope")
    if ensembles:
        found["slopes"] = lambda: _slopes(ensembles)
    mechanism = numbers_with(folder, "mechanism", f"budget.slope.{next(iter(MECHANISM))}")
    if mechanism:
        found["mechanism"] = lambda: _mechanism(mechanism)
    shared, finite = shared_lines(folder), finite_lines(folder)
    bert = numbers_with(folder, "shared_start", "offset.logit_slope").get(BERT)
    if shared and finite and bert:
        found["sharing"] = lambda: _sharing(shared, finite, bert["offset.logit_slope"])
    return found


def _alignment(folder: Path) -> Plot:
    runs, said = {}, []
    for name in SCATTERS:
        predictions, _ = open_predictions(folder / "ensembles" / name)
        analysis = analyze_predictions(predictions)
        lines = fitted_lines(analysis, ("logit_slope",))
        panel = Panel("plug-in", analysis["bias_sq"], analysis["variance"], lines)
        sizes = analysis.num_members, analysis.num_classes
        runs[name] = RunScatter(panel, analysis["correct"], *sizes)
        said += [f"{name}: {str(line).partition(': ')[2]}" for line in lines]
    plot = scatters_plot(runs)
    added = f" Black: the line of infinitely many members. {'; '.join(said)}." if said else ""
    return Plot(plot.draw, plot.caption + added, plot.alt, plot.numbers)


def _slopes(ensembles: dict[str, Numbers]) -> Plot:
    by_family = {family: {} for family in reversed(FAMILIES)}
    for name, numbers in ensembles.items():
        family = next(f for f, p in FAMILIES.items() if any(fnmatch(name, one) for one in p))
        by_family[family][name.removeprefix("others-")] = RunSlopes(
            estimate_of(numbers["slope.logit_slope"]),
            estimate_of(numbers.get("offset.logit_slope", {"value": None})),
            estimate_of(numbers.get("slope.ols", {"value": None})),
            bool(numbers["slope.logit_slope"].get("flags")),
        )
    by_family = {family: runs for family, runs in by_family.items() if runs}
    quoted = [numbers["slope.logit_slope"] for numbers in ensembles.values()]
    quoted = [number for number in quoted if not number.get("flags") and number.get("interval")]
    one = sum(number["interval"][0] <= 1 <= number["interval"][1] for number in quoted)
    caption = (
        f"Slope and offset of {len(ensembles)} ensembles with 95% intervals, of infinitely many "
        "members (black), and the slope of these members (green); dashed: over samples alone, "
        f"hollow: not to be quoted. {one} of the {len(quoted)} slopes to be quoted have an "
        "interval that holds one."
    )
    keys = ("slope.logit_slope", "offset.logit_slope", "slope.ols")
    return Plot(lambda: families(by_family), caption, caption, _columns(ensembles, keys))


def _mechanism(ensembles: dict[str, Numbers]) -> Plot:
    keys = [f"budget.slope.{part}" for part in MECHANISM] + ["slope.ols"]
    rows = {name: [numbers.get(key) for key in keys] for name, numbers in ensembles.items()}
    rows = {
        name.removeprefix("others-"): [_estimate(number) for number in row]
        for name, row in rows.items()
    }
    ends = [_ends(ensembles, key, part) for key, part in zip(keys, MECHANISM, strict=False)]
    caption = (
        f"What makes the slope of {len(ensembles)} ensembles. From left to right: the slope that "
        "margins and one Gaussian noise of the log odds give, what the growth of the noise with "
        "the margin adds, what members' own scales add, what the rest of the population's slope "
        "is, what these finitely many members add; and their sum, the least-squares slope of these "
        f"members. Bars: 95% intervals. {'; '.join(ends)}."
    )
    return Plot(lambda: budgets(rows), caption, caption, _columns(ensembles, keys))


def _sharing(shared: dict[str, Line], finite: dict[str, dict[str, Line]], bert: Number) -> Plot:
    ends = [
        f"{name}: {number_text(points[0][1])} without sharing, {number_text(points[-1][1])} where "
        f"members share {points[-1][0]:.0%} of the epochs"
        for name, points in shared.items()
    ]
    curves = {
        f"{name}, {TITLES[estimator]}": points
        for name, lines in finite.items()
        for estimator, points in lines.items()
    }
    sizes = [
        f"{name}: {points[0][1]['value']:.3f} at M = {points[0][0]:g}, "
        f"{points[-1][1]['value']:.3f} at M = {points[-1][0]:g}"
        for name, points in curves.items()
    ]
    caption = (
        "(a) Offset, the mean of log variance minus log squared bias of infinitely many members, "
        "over the fraction of the training that all members share; bars: 95% intervals, hollow: "
        f"not to be quoted. {'; '.join(ends)}. Grey: ten BERTs fine-tuned by other people, "
        f"{number_text(bert)}. (b) Slope over the number of members M, mean of "
        f"disjoint ensembles; bars: one standard deviation over these. {'; '.join(sizes)}."
    )
    rows = [
        (panel, name, x, number["value"], *(number.get("interval") or (None, None)))
        for panel, lines in (("a", shared), ("b", curves))
        for name, points in lines.items()
        for x, number in points
    ]
    names = ("panel", "curve", "x", "value", "low", "high")
    numbers = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return Plot(lambda: shared_and_finite(shared, finite, bert), caption, caption, numbers)


def _estimate(number: Number | None) -> tuple[object, bool]:
    return estimate_of(number or {"value": None}), bool((number or {}).get("flags"))


def _ends(ensembles: dict[str, Numbers], key: str, name: str) -> str:
    values = [numbers[key]["value"] for numbers in ensembles.values() if key in numbers]
    return f"{name}: {min(values):.2f} to {max(values):.2f}"


def _columns(ensembles: dict[str, Numbers], keys: Iterable[str]) -> dict[str, list[object]]:
    rows = [
        (name, key, n["value"], *(n.get("interval") or (None, None)), bool(n.get("flags")))
        for name, numbers in ensembles.items()
        for key, n in ((key, numbers[key]) for key in keys if key in numbers)
    ]
    names = ("ensemble", "number", "value", "low", "high", "flagged")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=EXPERIMENTS, help="with studies, ensembles")
    parser.add_argument("--only", nargs="*", help="names of figures; all by default")
    args = parser.parse_args()
    found = plots(args.folder)
    asked = args.only or ["alignment", "slopes", "mechanism", "sharing"]
    for name in asked:
        if name not in found:
            print(f"{name}: not measured yet, not drawn", file=sys.stderr)
            continue
        for path in write_figures(
            {name: found[name]()}, args.folder / "figures", formats=("pdf", "png")
        ):
            print(path)


if __name__ == "__main__":
    main()
