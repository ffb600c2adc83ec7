"""Summaries of finished runs, in the schema of today: those of before are analysed again."""

import contextlib
import json
from collections.abc import Sequence

from study_run import StudyRun, analyse

from bvalign.show.report.summary_json import SCHEMA


def read_summaries(runs: Sequence[StudyRun]) -> tuple[dict[str, dict], dict[str, str]]:
    """Reads summary.json of finished runs; the report of another schema is written again first.

    Returns:
        Run name -> summary, and run name -> the reason why there is none.
    """
    summaries, refused = {}, {}
    for run in runs:
        file = run.path / "summary.json"
        summary = json.loads(file.read_text())
        if summary["schema"] != SCHEMA:
            print(
                f"  {run.name}: summary of schema {summary['schema']}, analysing again", flush=True
            )
            try:
                _analyse_again(run)
            except (ValueError, OSError) as error:  # one broken run must not stop the others
                refused[run.name] = (
                    f"summary.json has schema {summary['schema']}, not {SCHEMA}, and the run "
                    f"cannot be analysed again: {error}"
                )
                continue
            summary = json.loads(file.read_text())
        summaries[run.name] = summary
    return summaries, refused


def _analyse_again(run: StudyRun) -> None:
    with (
        (run.path / "fit.log").open("a") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        analyse(run)
