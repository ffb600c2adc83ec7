"""`bvalign compare`: several reports as one page, a table and small multiples."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bvalign.atomic import write_atomic
from bvalign.show.comparison import SLOPES, Report, compare, read_reports, table
from bvalign.show.files import save_figure
from bvalign.show.fits import summary_lines
from bvalign.show.multiples import Run, alignment_multiples, slopes
from bvalign.show.page import render
from bvalign.show.scatter import Panel

CAPTIONS = {
    "alignment": "One point per test sample, plug-in values, the same axes for all runs. Slopes "
    "are of the samples that the ensemble gets right.",
    "slopes": "Slopes that differ by less than their intervals are not known to differ. Intervals "
    "are over samples and members; with few members over samples alone.",
}


def compare_runs(folders: Sequence[Path | str], out: Path | str) -> None:
    """Writes compare.html, compare.csv, compare.json and figures/, and says where.

    Args:
        folders: run directories, or folders that `bvalign analyze` wrote.
        out: a folder, made if missing.
    """
    out, reports = Path(out), read_reports([Path(folder) for folder in folders])
    found = compare(reports)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    write_atomic(out / "compare.json", (json.dumps(found, indent=1) + "\n").encode())
    rows = io.StringIO()
    csv.writer(rows, lineterminator="\n").writerows(table(found["runs"]))
    write_atomic(out / "compare.csv", rows.getvalue().encode())
    images = {
        name: save_figure(figure, out / "figures" / name) for name, figure in draw(reports).items()
    }
    page = render("compare.html.j2", _made(reports), "", images, CAPTIONS, found=found)
    write_atomic(out / "compare.html", page.encode())
    print(f"comparison of {len(reports)} runs: {out / 'compare.html'}")


def draw(reports: Sequence[Report]) -> dict[str, Figure]:
    """The figures, by file name."""
    lines = {report.name: summary_lines(report.summary, SLOPES) for report in reports}
    runs = {
        report.name: Run(
            Panel(
                "plug-in",
                report.samples["bias_sq"],
                report.samples["variance"],
                lines[report.name],
            ),
            report.samples["correct"],
            report.summary["num_members"],
            report.summary["num_classes"],
        )
        for report in reports
    }
    drawn = {"alignment": alignment_multiples(runs)}
    return drawn | ({"slopes": slopes(lines)} if any(lines.values()) else {})


def _made(reports: Sequence[Report]) -> dict[str, object]:
    """What the end of the page says: what all runs share, and where they come from."""
    first = reports[0].summary["identity"]
    same = {
        key: value
        for key, value in first.items()
        if all(report.summary["identity"].get(key) == value for report in reports)
    }
    commits = {report.name: report.summary["provenance"].get("commit") for report in reports}
    return {
        "data": {"name": f"{len(reports)} runs"},
        "identity": same,
        "provenance": {f"commit of {name}": commit for name, commit in commits.items()},
        "versions": reports[0].summary["versions"],
    }
