"""One ensemble of a study: trained by `bvalign fit`, or there already and only analysed.

    config        trained with a base config and options; a killed one is resumed
    ensemble      the kept members of experiments/ensembles/<name>
    predictions   files of other people, in any form that `bvalign analyze` reads

All end in a folder with summary.json and samples.csv, and cost.json says what it took.
"""

import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from bvalign import cli
from bvalign.moved import earliest
from bvalign.predictions import Predictions, open_predictions

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "experiments" / "ensembles"
QUIET = {"trainer.logger": False, "seed_everything": 0}
"""Options of every training."""

Kind = Literal["config", "ensemble", "predictions"]

WHERE = "predictions.txt"
"""In the folder of files of other people: their path."""


class StudyRun(NamedTuple):
    """One ensemble of a study."""

    name: str
    kind: Kind
    source: str  # config relative to the repository, name of an ensemble, or path; $VARIABLES in it
    options: dict[str, object]  # of a config: option of `bvalign fit` -> value, $VARIABLES in it
    root: Path

    @property
    def path(self) -> Path:
        """The folder of the results; another one if options or kept members are others."""
        content = earliest(json.dumps([self.source, self.options], sort_keys=True))
        if self.kind == "ensemble":
            content += json.dumps(sorted(kept(self.source).get("members", []), key=int))
        return self.root / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def arguments(self) -> list[str]:
        """The arguments of `bvalign` for a config."""
        options = [f"--{key}={text(value)}" for key, value in self.options.items()]
        config = str(ROOT / self.source)
        return ["fit", "--config", config, *options, f"--trainer.default_root_dir={self.path}"]

    @property
    def cost(self) -> dict[str, object]:
        """Seconds of all attempts, by the clock and of all cores, and why the last one failed."""
        file = self.path / "cost.json"
        unknown = {"seconds": 0.0, "cpu_seconds": 0.0}
        return unknown | (json.loads(file.read_text()) if file.exists() else {})

    @property
    def finished(self) -> bool:
        """True if the last attempt ended with a report."""
        return (self.path / "summary.json").exists() and self.cost.get("failed", True) is None


def kept(name: str) -> dict[str, object]:
    """What is known of the kept members of an ensemble: identity, members, cost, ...

    Empty where none are kept.
    """
    path = KEPT / name / "identity.json"
    return json.loads(path.read_text()) if path.exists() else {}


def predictions_of(path: Path) -> Predictions:
    """The members' predictions behind the folder of a run of any kind."""
    where = path / WHERE
    return open_predictions(os.path.expandvars(where.read_text()) if where.exists() else path)[0]


def training_cost(name: str) -> dict[str, float]:
    """Seconds of all runs that trained the kept members, by the clock and of all cores."""
    costs = kept(name).get("costs", [])
    return {key: round(sum(c[key] for c in costs), 1) for key in ("seconds", "cpu_seconds")}


def fit(run: StudyRun, workers: int = 1) -> str | None:
    """Runs `bvalign fit` with its output in fit.log.

    Args:
        run: trained with a config.
        workers: one is this process; several are started, and claim members of one run.

    Returns:
        The reason why it failed, if it did.
    """
    import bvalign.__main__

    if workers > 1:
        return attempt(run, lambda: _side_by_side(run.arguments, workers))
    arguments = sys.argv
    sys.argv = [bvalign.__main__.__file__, *run.arguments]  # further ranks are started with it
    try:
        return attempt(run, cli.main)
    finally:
        sys.argv = arguments


def _side_by_side(arguments: list[str], workers: int) -> None:
    command = [sys.executable, "-m", "bvalign", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    output = {"stdout": sys.stdout, "stderr": sys.stderr}
    started = [subprocess.Popen(command, env=environment, **output) for _ in range(workers)]
    try:
        codes = {process.wait() for process in started} - {0}
    finally:
        for process in started:  # ended already, unless this process is stopped
            process.terminate()
    if codes:
        raise SystemExit(cli.CAN_RESUME if cli.CAN_RESUME in codes else f"workers ended: {codes}")


def analyse(run: StudyRun) -> None:
    """Analyses predictions that are there, and writes the report.

    Raises:
        ValueError: they are not there, or cannot be read.
    """
    from bvalign.commands.report import analyze_and_report

    source = run.path
    if run.kind == "predictions":
        source = Path(os.path.expandvars(run.source))
        (run.path / WHERE).write_text(run.source)
    analyze_and_report(source, run.path)


def attempt(run: StudyRun, work: Callable[[], object]) -> str | None:
    """Does some work of a run with its output in fit.log, and adds its cost.

    Returns:
        The reason why it failed, if it did.
    """
    before, start, failed = run.cost, (time.monotonic(), _cpu_seconds()), "interrupted"
    run.path.mkdir(parents=True, exist_ok=True)
    with (run.path / "fit.log").open("a") as log:
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                work()
            failed = None
        except SystemExit as stopped:
            if stopped.code == cli.CAN_RESUME or "interrupted" in str(stopped.code):
                raise KeyboardInterrupt from stopped
            failed = str(stopped.code)
        except Exception as error:  # one broken run must not stop the others; the results name it
            failed = f"{type(error).__name__}: {error}"
        finally:
            took = (time.monotonic() - start[0], _cpu_seconds() - start[1])
            names = ("seconds", "cpu_seconds")
            sums = {name: round(before[name] + s, 1) for name, s in zip(names, took, strict=True)}
            temporary = run.path / "cost.json.new"
            temporary.write_text(json.dumps({**sums, "failed": failed}) + "\n")
            temporary.replace(run.path / "cost.json")
    return failed


def text(value: object) -> str:
    """A value as the command line takes it."""
    return os.path.expandvars(value) if isinstance(value, str) else json.dumps(value)


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
