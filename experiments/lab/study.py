"""Studies: a question, the ensembles that answer it, and the claims that are judged by them.

A study is a folder of experiments/studies/ with a `study.yaml`:

    question                      the question it answers, for the reader
    plain                         claim -> two sentences for docs/findings.md, after the results
    set                           options of all trained runs
    sizes: <size>: set, runs      options of all trained runs of that size, and the runs by name
        <run>: config, set, grid  trained: a base config, options, and options with several values
                                  each: every combination is a run named <run>-<value>-<value>
        <run>: ensemble           the kept members of that name, see kept.py
        <run>: predictions        files of other people, $VARIABLES in their path
    extras                        measurements beyond those of every run, see extras.py
    figures                       the figures, see plots.py
    claims                        the claims of the paper and their thresholds, see verdicts.py

A run is kept in <root>/<size>/<run>-<hash of its options>, so that studies share runs, and changed
options make a new run instead of being refused.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import yaml
from kept import restore, restore_samples
from study_run import KEPT, QUIET, ROOT, StudyRun, analyse, attempt, fit, text

STUDIES = ROOT / "experiments" / "studies"


def questions() -> list[str]:
    """The folders of all studies, in alphabetical order."""
    return sorted(file.parent.name for file in STUDIES.glob("*/study.yaml"))


def read_study(question: str) -> dict[str, object]:
    """The content of a study.yaml.

    Raises:
        ValueError: there is no such study; the message names all studies.
    """
    path = STUDIES / question / "study.yaml"
    if not path.is_file():
        raise ValueError(f"no question '{question}'; there are {', '.join(questions())}")
    return yaml.safe_load(path.read_text())


def runs_of(study: dict[str, object], size: str, root: Path) -> list[StudyRun]:
    """The runs of one size, with grids expanded."""
    if size not in study["sizes"]:
        raise ValueError(f"no size '{size}'; there are {', '.join(study['sizes'])}")
    of_size = study["sizes"][size]
    common = QUIET | study.get("set", {}) | of_size.get("set", {})
    return [
        run
        for base, entry in of_size["runs"].items()
        for run in _of_entry(base, entry, common, root / size)
    ]


def obtain_all(runs: list[StudyRun], workers: int) -> None:
    """Trains and analyses the unfinished runs, some side by side; a failure stops no other run."""
    missing = [run for run in runs if not run.finished]
    print(f"{len(runs)} runs, {len(missing)} to make", flush=True)
    if not missing:
        return
    if workers == 1:
        for run in missing:
            _print_outcome(run, obtain(run))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(obtain, run): run for run in missing}
        for job in as_completed(jobs):
            _print_outcome(jobs[job], job.result())


def obtain(run: StudyRun) -> str | None:
    """Trains a run, or analyses one that is there.

    Returns:
        The reason why it failed, if it did.
    """
    return fit(run) if run.kind == "config" else attempt(run, lambda: _analyse(run))


def _analyse(run: StudyRun) -> None:
    if run.kind == "ensemble":
        restore(KEPT / run.source, run.path)
        restore_samples(KEPT / run.source, run.path)
    analyse(run)


def _of_entry(base: str, entry: dict, common: dict[str, object], root: Path) -> Iterator[StudyRun]:
    for kind in ("ensemble", "predictions"):
        if kind in entry:
            yield StudyRun(base, kind, entry[kind], {}, root)
            return
    for name, more in _combinations(base, entry.get("grid", {})):
        yield StudyRun(name, "config", entry["config"], common | entry.get("set", {}) | more, root)


def _print_outcome(run: StudyRun, failed: str | None) -> None:
    outcome = f"failed: {failed} (see {run.path / 'fit.log'})" if failed else "done"
    print(f"  {run.name}: {outcome}, {run.cost['seconds']:.0f} s", flush=True)


def _combinations(
    base: str, grid: dict[str, list[object]]
) -> Iterator[tuple[str, dict[str, object]]]:
    for values in product(*grid.values()):
        yield "-".join([base, *map(text, values)]), dict(zip(grid, values, strict=True))
