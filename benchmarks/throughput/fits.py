"""Whole `bvalign fit` commands against the usual Lightning loop and a bare loop of the same plan.

Start-up is subtracted: the measurement is seconds per epoch of the whole pack, within one command,
from the start of an epoch when everything is warm to the end of the last. Imports, the trial of
plans, the first epochs and the report are left out; the cost of a pack besides its epochs is
reported separately.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from limits import interleaved, ratios, spread
from loops import PlanLoop
from usual import usual_epoch
from workloads import Workload

from bvalign import RunDirectory

HERE = Path(__file__).parent


def fit_command(
    root: Path,
    workload: Workload,
    plan: str,
    epochs: int,
    more: Mapping[str, object] | None = None,
) -> list[str]:
    """The command line of one fit, with `more` options."""
    options = {
        "data": f"{workload.data.__module__}.{workload.data.__name__}",
        "data.batch_size": workload.batch_size,
        "model.arch": workload.arch,
        "model.members": workload.pack,
        "model.pack_size": workload.pack,
        "model.plan": plan,
        "trainer.max_epochs": epochs,
        "trainer.check_val_every_n_epoch": workload.validate_every,
        "trainer.accelerator": "cpu",
        "trainer.logger": "false",
        "trainer.default_root_dir": root,
    }
    if workload.num_train is not None:
        options["data.num_train"] = workload.num_train
    options |= more or {}
    return [sys.executable, "-m", "bvalign", "fit", *(f"--{k}={v}" for k, v in options.items())]


def run_fit(
    root: Path,
    workload: Workload,
    plan: str,
    epochs: int,
    more: Mapping[str, object] | None = None,
) -> float:
    """Seconds that one command trains, with `more` options."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        fit_command(root, workload, plan, epochs, more),
        env=os.environ
        | {"OMP_NUM_THREADS": str(workload.threads), "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"fit failed: {done.stderr.strip().splitlines()[-1]}")
    first = min(path.stat().st_mtime for path in root.glob("packs/*.lock"))
    last = max(path.stat().st_mtime for path in root.glob("members/*/logits.safetensors"))
    return last - first


def weight_difference(root: Path, loop: PlanLoop) -> float:
    """Largest difference of any network weight between a run and a bare loop of its members."""
    run = RunDirectory(root)
    return max(
        float((weight - loop.module.pack.network_weights(member)[name]).abs().max())
        for member in run.finished()[0]
        for name, weight in run.member(member).weights().items()
    )


def whole_fits(
    workload: Workload, plan: str, *, rounds: int, tick: Callable[[], None]
) -> dict[str, object]:
    """Seconds per epoch of one pack: `fit`, the bare loop, and the usual loop times the members.

    Args:
        workload: network and data.
        plan: the plan that `auto` chose.
        rounds: number of measurements of each.
        tick: called after each measurement.
    """
    torch.set_num_threads(workload.threads)
    first, epochs = workload.epochs
    folder = Path(tempfile.mkdtemp(prefix="bvalign-throughput-"))
    besides: list[float] = []
    kept: list[PlanLoop] = []

    def fit() -> float:
        whole, begun = timed_fit(folder, workload, plan)
        besides.append(whole - epochs * seconds_per_epoch(begun, 0, epochs))
        return seconds_per_epoch(begun, first, epochs)

    def bare() -> float:
        kept[:] = [PlanLoop(workload, plan, epochs=epochs)]
        return timed_loop(kept[0], first, epochs)

    def usual() -> float:
        warm = workload.validate_every if workload.validate_every < epochs else 1
        return workload.pack * usual_epoch(workload, warm, 3 * warm)

    try:
        took = interleaved({"fit": fit, "bare": bare, "usual": usual}, rounds, tick)
        difference = weight_difference(folder / "run", kept[0])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "plan": plan,
        "members": workload.pack,
        "threads": workload.threads,
        "epochs": list(workload.epochs),
        "seconds_per_epoch": {name: spread(times) for name, times in took.items()},
        "seconds_besides_epochs": spread(besides),
        "step_milliseconds": 1000 * spread(took["bare"])["median"] / len(kept[0].batches),
        "over_lightning": ratios(took["usual"], took["fit"]),
        "over_bare": ratios(took["fit"], took["bare"]),
        "difference_from_bare": difference,
    }


def timed_loop(loop: PlanLoop, first: int, epochs: int) -> float:
    """Seconds per epoch of a bare loop, without its first epochs."""
    for epoch in range(epochs):
        if epoch == first:
            begin = time.perf_counter()
        loop.epoch(epoch)
    return (time.perf_counter() - begin) / (epochs - first)


def timed_fit(
    folder: Path, workload: Workload, plan: str, more: Mapping[str, object] | None = None
) -> tuple[float, list[float]]:
    """Seconds that one command trains, and the times at which its epochs began and the last ended.

    The run directory is `folder`/run; an earlier one is removed. `more` are further options.
    """
    root, clock = folder / "run", folder / "epochs.json"
    shutil.rmtree(root, ignore_errors=True)
    callback = {"class_path": "usual.Clock", "init_args": {"path": str(clock)}}
    options = {"trainer.callbacks": json.dumps([callback])} | dict(more or {})
    whole = run_fit(root, workload, plan, workload.epochs[1], options)
    return whole, json.loads(clock.read_text())


def seconds_per_epoch(begun: list[float], first: int, epochs: int) -> float:
    """Seconds per epoch of all packs together, without the first epochs of each.

    Args:
        begun: for each pack, when its epochs began and the last ended.
        first: epochs of each pack that are left out.
        epochs: of each pack.

    >>> seconds_per_epoch([0.0, 5.0, 7.0, 10.0, 15.0, 18.0], 1, 2)
    5.0
    """
    packs = range(0, len(begun), epochs + 1)
    return sum(begun[i + epochs] - begun[i + first] for i in packs) / (epochs - first)
