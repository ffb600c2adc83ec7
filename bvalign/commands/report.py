"""Analysis and report on disk: `bvalign analyze`, `bvalign report` and the end of a fit."""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from rich.console import Console

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.atomic import remove_left
from bvalign.commands.analyze import asked
from bvalign.commands.passes import analyze_predictions
from bvalign.commands.sharing import (
    FOLDER,
    Work,
    are_merged,
    by_torchrun,
    check_all_there,
    clear,
    remember,
    remembered,
    shard_of,
)
from bvalign.decisions import Decisions, Options, decide
from bvalign.decisions.wrong_labels import REVIEW
from bvalign.memory import return_freed_memory
from bvalign.predictions import Names, open_predictions
from bvalign.show.progress_bar import progress
from bvalign.show.report import print_main_numbers, write_report
from bvalign.show.report.sample_files import CSV, MOST_ROWS_OF_CSV, PARQUET

ALONE = (0, 1)
"""Rank and number of processes of one that works alone."""

MANY = 200_000
"""Samples above which the answers take seconds, and have a bar."""

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
    shards: int = 0,
    ray: str | None = None,
) -> tuple[Analysis | UnlabelledAnalysis, Decisions] | None:
    """Analyses predictions, writes the report and prints the main numbers.

    Where the samples fill more than one piece, finished pieces are kept in `out` until the report
    is written, and the next call goes on from there.

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
        shards: number of those that must have computed all pieces; 0 to compute them here.
        ray: address of a cluster of Ray that computes them; see `by_ray`.

    Returns:
        The analysis, and what answers each question; None in the other processes of torchrun.

    Raises:
        ValueError: the predictions cannot be read, or pieces are missing.
    """
    named, out, place = Names(**names or {}), Path(out), place or _place()
    predictions, origin = open_predictions(source, clusters=clusters, groups=groups, names=named)
    if place[0] == 0 and "read" in origin:
        print(f"{origin['source']}, read as {origin['format']}: {origin['read']}")
    _make_folder(out)
    together = place[1] > 1 or shards > 0 or ray is not None
    work = Work(predictions, source, out, shared=together)
    if place[1] > 1 and not by_torchrun(work, place):
        return None
    if ray is not None:
        from bvalign.commands.on_ray import by_ray

        given = {"source": source, "out": out, "clusters": clusters, "groups": groups}
        by_ray(work, ray, given | {"names": vars(named)})
    if shards:
        check_all_there(work, shards)
    options = asked(options, (predictions, origin), sources, named, work.rest)
    analysis = analyze_predictions(predictions, work.pieces)
    return_freed_memory()
    with progress(Console(file=sys.stderr, quiet=analysis.num_samples < MANY)) as bar:
        decisions = decide(analysis, options, partial(bar.track, description="answers"))
    given = {"decisions": decisions, "samples": samples}
    write_report(analysis, predictions, origin, out, **given)
    print_main_numbers(analysis)
    for decision in decisions.values():
        print(decision)
    for line in _lists(decisions, out):
        print(line)
    if samples is None and analysis.num_samples > MOST_ROWS_OF_CSV:
        print(
            f"samples: {out / PARQUET}; of more than {MOST_ROWS_OF_CSV:,} samples {CSV} is written "
            "on request: --samples both"
        )
    print(f"report: {out / 'report.html'}")
    clear(out, merged=shards > 0)
    return analysis, decisions


def analyze_shard(source: Path | str, out: Path, shard: str, **asked: object) -> None:
    """Computes the pieces of one shard, beside the report that `merge` will write.

    Args:
        source: as for `analyze_and_report`.
        out: folder of the report.
        shard: `i/n`, i from 0.
        asked: what else `analyze_and_report` is given.

    Raises:
        ValueError: there is no such shard, or another one was asked something else.
    """
    number, of = shard_of(shard)
    names = Names(**asked["names"] or {})
    about = {"clusters": asked["clusters"], "groups": asked["groups"], "names": names}
    predictions, _ = open_predictions(source, **about)
    _make_folder(out)
    remember(out / FOLDER, {"source": source, **asked}, of)
    work = Work(predictions, source, out, shared=True)
    work.compute(number, of)
    print(
        f"shard {shard}: its pieces are in {work.folder}; `bvalign merge {out}` writes the report"
    )


def merge(out: Path) -> None:
    """Writes the report of shards that are all there; once it is written, there is nothing to do.

    Args:
        out: folder that they were given.

    Raises:
        ValueError: a shard is missing; the message names it.
    """
    if are_merged(out):
        clear(out, merged=True)
        print(f"{out}: its shards are merged; report: {out / 'report.html'}")
        return
    asked, of = remembered(out)
    analyze_and_report(asked.pop("source"), out, ALONE, shards=of, **asked)


def _place() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    rank, world = (int(os.environ.get(name, default)) for name, default in PLACE)
    return rank, world


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
        remove_left(out)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be a folder for the report ({error.strerror}); `bvalign analyze "
            "PREDICTIONS --out FOLDER` names another"
        ) from error
