"""The files of a report: summary.json, samples.csv, samples.parquet and HTML pages."""

from bvalign.show.report import labelled, unlabelled
from bvalign.show.report.comparison.comparison import compare_reports, csv_rows
from bvalign.show.report.comparison.page import comparison_figures, comparison_page
from bvalign.show.report.comparison.stored_reports import read_reports
from bvalign.show.report.terminal import print_main_numbers
from bvalign.show.report.write import write_report

__all__ = [
    "compare_reports",
    "comparison_figures",
    "comparison_page",
    "csv_rows",
    "labelled",
    "print_main_numbers",
    "read_reports",
    "unlabelled",
    "write_report",
]
