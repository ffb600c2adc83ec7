"""Analysis and report on disk: `bvalign analyze`, `bvalign report` and the end of a fit."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.commands.analyze import analyze_predictions, asked
from bvalign.decisions import Decisions, Options, decide
from bvalign.decisions.wrong_labels import REVIEW
from bvalign.memory import return_freed_memory
from bvalign.predictions import Names, open_predictions
from bvalign.show.report import print_main_numbers, write_report
from bvalign.show.report.sample_files import CSV, MOST_ROWS_OF_CSV, PARQUET

PLACE = (("RANK", "0"), ("WORLD_SIZE", "1"))
"""Environment variables in which torchrun gives rank and world size, with their defaults."""


def analyze_and_report(
    source: Path | str,
    out: Path | str,
    place: tuple[int, int] | None = None,
    *,
    clusters: Path | None = None,
    groups: Path | None = None,
    names: Mapping[str, str] | None = None,
    options: Options = Options(),  # noqa: B008 (immutable)
    sources: object = None,
    samples: str | None = None,
) -> tuple[Analysis | UnlabelledAnalysis, Decisions]:
    """Analyses predictions, writes the report and prints the main numbers.

    Args:
        source: as for `open_predictions`.
        out: folder of the report.
        place: rank of this process and number of processes; from torchrun by default.
        clusters: file with the cluster of each sample, as for `open_predictions`.
        groups: file with columns of subgroups of the samples, likewise.
        names: of columns or arrays, by field of `Names`.
        options: what is asked of the analysis.
        sources: labelled predictions of the same members, as for `bvalign.analyze`.
        samples: which files of samples to write, as for `write_report`.

    Returns:
        The analysis, and what answers each question; of the latter only rank zero has any.

    Raises:
        ValueError: the predictions cannot be read.
    """
    names = Names(**names or {})
    predictions, origin = open_predictions(source, clusters=clusters, groups=groups, names=names)
    place = place or tuple(int(os.environ.get(name, default)) for name, default in PLACE)
    if place[0] == 0 and "read" in origin:
        print(f"{origin['source']}, read as {origin['format']}: {origin['read']}")
    _make_folder(Path(out))
    options = asked(options, (predictions, origin), sources, names)
    analysis = analyze_predictions(predictions, place)
    return_freed_memory()
    decisions: Decisions = {}
    if place[0] == 0:
        decisions = decide(analysis, options)
        given = {"decisions": decisions, "samples": samples}
        write_report(analysis, predictions, origin, Path(out), **given)
        print_main_numbers(analysis)
        for decision in decisions.values():
            print(decision)
        for line in _lists(decisions, Path(out)):
            print(line)
        if samples is None and analysis.num_samples > MOST_ROWS_OF_CSV:
            print(
                f"samples: {Path(out) / PARQUET}; of more than {MOST_ROWS_OF_CSV:,} samples "
                f"{CSV} is written on request: --samples both"
            )
        print(f"report: {Path(out) / 'report.html'}")
    return analysis, decisions


def _lists(decisions: Decisions, out: Path) -> Iterator[str]:
    """Says where the samples are that an answer counts."""
    found = decisions.get("systematic")
    if found is not None and found.systematic:
        yield f"systematic errors: {out / 'report.html'}#view=systematic"
    labels = decisions.get("wrong_labels")
    if labels is not None and len(labels.suspicious()):
        yield f"labels to review: {out / REVIEW}"


def _make_folder(out: Path) -> None:
    """Makes the folder of the report, before the analysis takes its time.

    Raises:
        ValueError: there cannot be such a folder.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be a folder for the report ({error.strerror}); `bvalign analyze "
            "PREDICTIONS --out FOLDER` names another"
        ) from error
