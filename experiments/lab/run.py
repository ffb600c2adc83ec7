"""Answers a question of the paper: trains its grid, measures, judges, draws.

    python experiments/lab/run.py alignment --size small
    python experiments/lab/run.py all --size small --workers 2  # what is finished is not redone

Runs go to runs/experiments/<size>/, the answer to experiments/studies/<question>/ as
results-<size>.json with its figures beside it, and `answers.py` puts all answers into
experiments/README.md. Data sets that are not there are named, and their runs left out.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import draw
from extras import EXTRAS
from matplotlib.figure import Figure
from measures import measure
from study import STUDIES, Run, questions, read_study, runs_of, train
from verdicts import sentences, verdict

from bvalign.provenance import provenance

SCHEMA = 1


def answer(question: str, size: str, root: Path, out: Path, workers: int) -> dict[str, object]:
    """Trains what is missing and writes results-<size>.json and the figures.

    Args:
        question: folder of the study.
        size: one of its sizes.
        root: where the runs live.
        out: folder of the answer.
        workers: runs trained side by side; 0 trains nothing and measures what is finished.
    """
    study = read_study(question)
    runs = runs_of(study, size, root)
    if workers:
        train(runs, workers)
    done = {run.name: run.path for run in runs if run.finished}
    summaries = {name: json.loads((p / "summary.json").read_text()) for name, p in done.items()}
    print(f"{question}: measuring {len(done)} runs", flush=True)
    start = time.monotonic()
    numbers = {name: measure(path) for name, path in done.items()}
    curves = {}
    for name in study.get("extras", []):
        found = EXTRAS[name](done, summaries)
        curves |= found.curves
        for row, more in found.rows.items():
            numbers[row] = numbers.get(row, {}) | more
    verdicts = [verdict(claim, numbers) for claim in study.get("claims", [])]
    results = {
        "schema": SCHEMA,
        "question": study["question"],
        "folder": question,
        "size": size,
        "verdicts": verdicts,
        "sentences": [sentences(found) for found in verdicts],
        "runs": {run.name: _described(run, summaries.get(run.name)) for run in runs},
        "numbers": numbers,
        "curves": curves,
        "seconds_training": round(sum(run.cost["seconds"] for run in runs)),
        "seconds_measuring": round(time.monotonic() - start),
        "hardware": _hardware(),
        **provenance(),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(study, done, summaries, numbers, curves):
        figure.savefig(out / f"{name}-{size}.png", dpi=130)
    for name, of_runs in study.get("figures", {}).get("report", {}).items():
        for run in (run for run in of_runs if run in done):
            picture = done[run] / "figures" / f"{name}.png"
            if picture.exists():
                shutil.copy(picture, out / f"{name}-{run}-{size}.png")
    (out / f"results-{size}.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(results["sentences"]), flush=True)
    return results


def _described(run: Run, summary: dict | None) -> dict[str, object]:
    """What a run was, and what it cost; `missing` says why there is none."""
    about = {"config": run.config, "options": run.options, **run.cost}
    if summary is None:
        return about | {"missing": about.pop("failed", None) or "not trained yet"}
    keys = ("num_members", "num_samples", "num_classes", "notes", "identity")
    parts = {"data": summary["data"]["name"], "made": summary["provenance"]}
    return about | {key: summary[key] for key in keys} | parts


def _figures(
    study: dict, done: dict[str, Path], summaries: dict, numbers: dict, curves: dict
) -> list[tuple[str, Figure]]:
    wanted = study.get("figures", {})
    found = [
        (f"alignment-{name}", draw.scatter(done[name], summaries[name]))
        for name in wanted.get("scatter", [])
        if name in done
    ]
    for grid, label in wanted.get("sizes", {}).items():
        figure = draw.sizes(grid, label, numbers, summaries)
        if figure is not None:
            found.append((f"size-{grid}", figure))
    known = [n for n in wanted.get("numbers", []) if any(n in row for row in numbers.values())]
    if known:
        found.append(("numbers", draw.numbers(known, numbers, study.get("claims", []))))
    if curves and wanted.get("curves"):
        found.append(("curves", draw.curves(wanted["curves"], curves)))
    return found


def _hardware() -> dict[str, object]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("question", choices=[*questions(), "all"])
    parser.add_argument("--size", default="small", choices=("smoke", "small", "paper"))
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"), help="of all sizes")
    parser.add_argument("--out", type=Path, default=STUDIES, help="answers go to <out>/<question>")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="runs trained side by side, one thread each if there are several; on one GPU leave 1; "
        "0 only measures what is finished",
    )
    args = parser.parse_args()
    if args.workers > 1:
        os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes that train
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
