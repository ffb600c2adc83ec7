"""The main numbers of an analysis, for terminals, tables of papers and spreadsheets."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.show.quantities import title
from bvalign.show.rounding import rounded
from bvalign.show.tex import escaped

MEANS = ("risk", "noise", "bias_sq", "variance")
"""Means of labelled samples in their order; there is label noise with soft labels only."""

UNLABELLED_MEANS = ("confidence", "uncertainty", "variance", "disagreement")

HEADER = ("quantity", "key", "value", "low", "high", "over", "note")


class MainNumber(NamedTuple):
    """One row."""

    key: str  # of quantities
    number: Estimate
    note: str = ""  # why not to quote it

    @property
    def over(self) -> str:
        """What the interval is over; empty without one."""
        if self.number.quoted_interval is None:
            return ""
        return "samples and members" if self.number.interval else "samples alone"


def main_numbers(analysis: Analysis | UnlabelledAnalysis) -> list[MainNumber]:
    """Lists what a paper would print, without what there is none of.

    Args:
        analysis: the results.
    """
    if isinstance(analysis, UnlabelledAnalysis):
        rows = [MainNumber(key, analysis.means[key]) for key in UNLABELLED_MEANS]
        return [row for row in rows if row.number.value is not None]
    means, found = analysis.means, analysis.alignment
    population = found.logit_slope
    flags = "do not quote: " + ", ".join(population.flags) if population.flags else ""
    rows = [
        MainNumber("member_accuracy", analysis.mean_member_accuracy),
        MainNumber("accuracy", analysis.accuracy),
        *(MainNumber(key, means[key]) for key in MEANS if key in means),
        MainNumber("slope", population.slope, flags),
        MainNumber("offset", population.offset, flags),
        MainNumber("ols", found.ols["slope"]),
    ]
    return [row for row in rows if row.number.value is not None]


def tables(analysis: Analysis | UnlabelledAnalysis) -> dict[str, str]:
    """Returns table.tex and main_numbers.csv, by file name.

    Args:
        analysis: the results.
    """
    rows = main_numbers(analysis)
    size = {"N": analysis.num_samples, "M": analysis.num_members}
    return {"table.tex": as_tex(rows, size), "main_numbers.csv": as_csv(rows)}


def as_csv(rows: Sequence[MainNumber]) -> str:
    """Writes the numbers, rounded to what their intervals support."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        value, *ends = rounded(row.number)
        low, high = ends or ("", "")
        writer.writerow((title(row.key), row.key, value, low, high, row.over, row.note))
    return file.getvalue()


def as_tex(rows: Sequence[MainNumber], size: Mapping[str, int]) -> str:
    r"""Writes the numbers as a table that needs \usepackage{booktabs}.

    Args:
        rows: of `main_numbers`.
        size: M and N, in the comment above the table.
    """
    lines = [
        "% " + ", ".join(f"{name} = {number:,}" for name, number in size.items()),
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & value & 95\% interval \\",
        r"\midrule",
    ]
    notes = {}
    for row in rows:
        value, *ends = map(_minus, rounded(row.number))
        remarks = [row.note] * bool(row.note) + ["samples alone"] * (row.over == "samples alone")
        marks = [notes.setdefault(remark, "abcdefgh"[len(notes)]) for remark in remarks]
        name = escaped(title(row.key).capitalize()) + "".join(f"$^{mark}$" for mark in marks)
        lines.append(f"{name} & {value} & {' to '.join(ends)} " + r"\\")
    lines.append(r"\bottomrule")
    for remark, mark in notes.items():
        lines.append(rf"\multicolumn{{3}}{{l}}{{\footnotesize $^{mark}$ {escaped(remark)}}} \\")
    return "\n".join([*lines, r"\end{tabular}", ""])


def _minus(number: str) -> str:
    """In mathematical mode, where a hyphen is a minus."""
    mantissa, _, power = number.partition("e")
    return f"${mantissa} \\times 10^{{{int(power)}}}$" if power else f"${mantissa}$"
