"""Runs a study: trains or reads its ensembles, judges its claims and draws its figures.

    python experiments/lab/run.py alignment --size small
    python experiments/lab/run.py all --size small --workers 2  # finished runs are kept

Ensembles are kept in runs/experiments/<size>/. The results of a study are written to
experiments/studies/<question>/results-<size>.json, with the figures beside it; `findings.py` puts
the numbers and verdicts of all studies into docs/findings.md and experiments/README.md. Runs whose
data set is missing are named and left out.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import budget_plots
import plots
from claim_tables import SCHEMA
from extras import EXTRAS
from matplotlib.figure import Figure
from measures import Curves, measure
from study import STUDIES, obtain_all, questions, read_study, runs_of
from study_run import StudyRun, training_cost
from summaries import read_summaries
from verdicts import Numbers, sentences, verdict

from bvalign.analysis.slopes import FLAGS
from bvalign.commands.figures import draw_figures
from bvalign.provenance import provenance


def answer(question: str, size: str, root: Path, out: Path, workers: int) -> dict[str, object]:
    """Trains the runs that are missing and writes results-<size>.json and the figures.

    Args:
        question: folder of the study.
        size: one of the sizes of the study.
        root: folder that holds the runs.
        out: folder of the results.
        workers: runs trained side by side; 0 trains nothing and measures the finished runs.
    """
    study = read_study(question)
    runs = runs_of(study, size, root)
    if workers:
        obtain_all(runs, workers)
    start = time.monotonic()
    summaries, refused = read_summaries([run for run in runs if run.finished])
    paths = {run.name: run.path for run in runs if run.name in summaries}
    print(f"{question}: measuring {len(paths)} runs", flush=True)
    numbers, curves = _measured(study, paths, summaries)
    verdicts = [verdict(claim, numbers) for claim in study.get("claims", [])]
    results = {
        "schema": SCHEMA,
        "question": study["question"],
        "folder": question,
        "size": size,
        "verdicts": verdicts,
        "sentences": [sentences(one) for one in verdicts],
        "flags": _flags(numbers),
        "runs": {run.name: _described(run, summaries, refused) for run in runs},
        "numbers": numbers,
        "curves": curves,
        "seconds_training": round(sum(run.cost["seconds"] for run in runs)),
        "cpu_seconds_training": round(sum(run.cost["cpu_seconds"] for run in runs)),
        "seconds_measuring": round(time.monotonic() - start),
        "hardware": _hardware(),
        **provenance(),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(study, paths, summaries, numbers, curves).items():
        figure.savefig(out / f"{name}-{size}.png", dpi=130)
    _draw_report_figures(study, paths, size, out)
    (out / f"results-{size}.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(results["sentences"]), flush=True)
    return results


def _measured(
    study: dict, paths: dict[str, Path], summaries: dict[str, dict]
) -> tuple[dict[str, Numbers], Curves]:
    """The numbers of each finished run, with those of the extras, and the curves of the extras."""
    numbers = {name: measure(path) for name, path in paths.items()}
    curves: Curves = {}
    for name in study.get("extras", []):
        extra = EXTRAS[name](paths, summaries)
        curves |= extra.curves
        for row, more in extra.rows.items():
            numbers[row] = numbers.get(row, {}) | more
    return numbers, curves


def _flags(numbers: dict[str, Numbers]) -> dict[str, str]:
    """Sentences of the reasons not to quote some of the numbers, by name."""
    named = {
        f for run in numbers.values() for number in run.values() for f in number.get("flags", ())
    }
    return {flag: sentence for flag, sentence in FLAGS.items() if flag in named}


def _described(
    run: StudyRun, summaries: dict[str, dict], refused: dict[str, str]
) -> dict[str, object]:
    """The options, the data and the cost of a run; `missing` says why it has no results."""
    about = {run.kind: run.source, "options": run.options, **run.cost}
    if run.kind == "ensemble":
        about["training"] = training_cost(run.source)
    if run.name not in summaries:
        failed = about.pop("failed", None)
        return about | {"missing": refused.get(run.name) or failed or "not trained yet"}
    summary = summaries[run.name]
    keys = ("num_members", "num_samples", "num_classes", "notes", "identity")
    parts = {"data": summary["data"]["name"], "made": summary["provenance"]}
    return about | {key: summary.get(key) for key in keys} | parts


def _figures(
    study: dict,
    paths: dict[str, Path],
    summaries: dict[str, dict],
    numbers: dict[str, Numbers],
    curves: Curves,
) -> dict[str, Figure]:
    wanted = study.get("figures", {})
    figures = {
        f"alignment-{name}": plots.scatter(paths[name], summaries[name])
        for name in wanted.get("scatter", [])
        if name in paths
    }
    for grid, label in wanted.get("sizes", {}).items():
        figures[f"size-{grid}"] = plots.sizes(grid, label, numbers, summaries)
    if "over" in wanted:
        figures["over"] = plots.over(numbers, **wanted["over"])
    known = {
        n for row in numbers.values() for n, found in row.items() if found["value"] is not None
    }
    measured = [name for name in wanted.get("numbers", []) if name in known]
    if measured:
        figures["numbers"] = plots.numbers(measured, numbers, study.get("claims", []))
    figures["curves"] = plots.curves(wanted.get("curves", {}), curves)
    if "budget" in wanted:
        figures["budget"] = budget_plots.budgets(wanted["budget"], numbers)
    if "predicted" in wanted:
        figures["predicted"] = budget_plots.predictions(wanted["predicted"], numbers)
    return {name: figure for name, figure in figures.items() if figure is not None}


def _draw_report_figures(study: dict, paths: dict[str, Path], size: str, out: Path) -> None:
    """Draws figures of the reports of single runs."""
    for name, runs in study.get("figures", {}).get("report", {}).items():
        for run in (run for run in runs if run in paths):
            drawn = draw_figures([paths[run]], only=[name], formats=["png"])
            for picture in drawn:
                shutil.copy(picture, out / f"{name}-{run}-{size}.png")


def _hardware() -> dict[str, object]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("question", choices=[*questions(), "all"], help="folder of the study")
    parser.add_argument("--size", default="small", choices=("smoke", "small", "paper"))
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/experiments"), help="ensembles go to <runs>/<size>"
    )
    parser.add_argument("--out", type=Path, default=STUDIES, help="results go to <out>/<question>")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="runs trained side by side, with one thread each if there are several; leave 1 on one "
        "GPU; 0 only measures the finished runs",
    )
    args = parser.parse_args()
    if args.workers > 1:
        os.environ["OMP_NUM_THREADS"] = "1"  # the training processes read it
    asked = questions() if args.question == "all" else [args.question]
    try:
        for question in asked:
            answer(question, args.size, args.runs, args.out / question, args.workers)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the same command continues")


if __name__ == "__main__":
    main()
