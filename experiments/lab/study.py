"""Runs of a study: a small grid over `bvalign fit`, resumed where it stopped.

A study is a folder of experiments/studies/ with a `study.yaml`:

    question                      the question it answers, for the reader
    set                           options of all runs
    sizes: <size>: set, runs      options of all runs of that size, and the runs by name
        <run>: config, set, grid  a base config, options, and options with several values each:
                                  every combination is a run named <run>-<value>-<value>
    extras                        measurements beyond those of every run, see extras.py
    figures                       the figures, see plots.py
    claims                        the claims of the paper and their thresholds, see verdicts.py

A run is kept in <root>/<size>/<run>-<hash of its options>, so that studies share runs, and changed
options make a new run instead of being refused.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import yaml

from bvalign.moved import earliest

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ROOT / "experiments" / "studies"
QUIET = {"trainer.logger": False, "seed_everything": 0}


class StudyRun(NamedTuple):
    """One ensemble of a study."""

    name: str
    config: str  # relative to the repository
    options: dict[str, object]  # option of `bvalign fit` -> value, $VARIABLES in it
    root: Path

    @property
    def path(self) -> Path:
        """The run directory."""
        content = earliest(json.dumps([self.config, self.options], sort_keys=True))
        return self.root / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def arguments(self) -> list[str]:
        """The arguments of `bvalign`."""
        options = [f"--{key}={_text(value)}" for key, value in self.options.items()]
        config = str(ROOT / self.config)
        return ["fit", "--config", config, *options, f"--trainer.default_root_dir={self.path}"]

    @property
    def cost(self) -> dict[str, object]:
        """Seconds of all attempts so far, and the reason why the last one failed, if it did."""
        file = self.path / "cost.json"
        return json.loads(file.read_text()) if file.exists() else {"seconds": 0.0}

    @property
    def finished(self) -> bool:
        """True if the last attempt ended with a report."""
        return (self.path / "summary.json").exists() and self.cost.get("failed", True) is None


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
        StudyRun(name, entry["config"], common | entry.get("set", {}) | more, root / size)
        for base, entry in of_size["runs"].items()
        for name, more in _combinations(base, entry.get("grid", {}))
    ]


def train(runs: list[StudyRun], workers: int) -> None:
    """Trains the unfinished runs, some side by side; a failure stops no other run."""
    missing = [run for run in runs if not run.finished]
    print(f"{len(runs)} runs, {len(missing)} to train", flush=True)
    if not missing:
        return
    for run in missing:
        run.path.mkdir(parents=True, exist_ok=True)
    if workers == 1:
        for run in missing:
            _print_outcome(run, fit(run))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(fit, run): run for run in missing}
        for job in as_completed(jobs):
            _print_outcome(jobs[job], job.result())


def fit(run: StudyRun) -> str | None:
    """Runs `bvalign fit` in this process, with its output in fit.log.

    Returns:
        The reason why it failed, if it did.
    """
    import bvalign.__main__
    from bvalign.cli import main

    before, start, failed = run.cost["seconds"], time.monotonic(), "interrupted"
    arguments = sys.argv
    sys.argv = [bvalign.__main__.__file__, *run.arguments]  # further ranks are started with it
    with (run.path / "fit.log").open("a") as log:
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                main()
            failed = None
        except SystemExit as stopped:
            if "interrupted" in str(stopped.code):
                raise KeyboardInterrupt from stopped
            failed = str(stopped.code)
        except Exception as error:  # one broken run must not stop the others; the results name it
            failed = f"{type(error).__name__}: {error}"
        finally:
            sys.argv = arguments
            _write_cost(run, before + time.monotonic() - start, failed)
    return failed


def _write_cost(run: StudyRun, seconds: float, failed: str | None) -> None:
    temporary = run.path / "cost.json.new"
    temporary.write_text(json.dumps({"seconds": round(seconds, 1), "failed": failed}) + "\n")
    temporary.replace(run.path / "cost.json")


def _print_outcome(run: StudyRun, failed: str | None) -> None:
    outcome = f"failed: {failed} (see {run.path / 'fit.log'})" if failed else "done"
    print(f"  {run.name}: {outcome}, {run.cost['seconds']:.0f} s", flush=True)


def _combinations(
    base: str, grid: dict[str, list[object]]
) -> Iterator[tuple[str, dict[str, object]]]:
    for values in product(*grid.values()):
        yield "-".join([base, *map(_text, values)]), dict(zip(grid, values, strict=True))


def _text(value: object) -> str:
    return os.path.expandvars(value) if isinstance(value, str) else json.dumps(value)
