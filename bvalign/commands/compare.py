"""`bvalign compare`: several reports as one page and a CSV."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from bvalign.atomic import remove_left, write_atomic
from bvalign.show.report import (
    compare_reports,
    comparison_figures,
    comparison_page,
    csv_rows,
    read_reports,
)
from bvalign.show.report.comparison.headline import headline
from bvalign.show.report.comparison.tables import tables


def compare_runs(folders: Sequence[Path | str], out: Path | str) -> None:
    """Writes compare.html, compare.csv and compare.json, and prints the main results.

    Args:
        folders: run directories, or folders that `bvalign analyze` wrote.
        out: a folder, created if missing.
    """
    out, reports = Path(out), read_reports([Path(folder) for folder in folders])
    comparison = compare_reports(reports)
    out.mkdir(parents=True, exist_ok=True)
    remove_left(out)
    write_atomic(out / "compare.json", (json.dumps(comparison, indent=1) + "\n").encode())
    rows = io.StringIO()
    csv.writer(rows, lineterminator="\n").writerows(csv_rows(comparison["runs"]))
    write_atomic(out / "compare.csv", rows.getvalue().encode())
    plots = comparison_figures(reports, comparison)
    write_atomic(out / "compare.html", comparison_page(reports, comparison, plots, out))
    for line in headline(comparison, tables(comparison)):
        print(line)
    print(f"comparison of {len(reports)} runs: {out / 'compare.html'}")
