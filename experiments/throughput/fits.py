"""Whole `bvalign fit` commands against the usual Lightning loop and a bare loop of the same plan.

Start-up is taken out: what counts is seconds per epoch of the whole pack, of one command from the
begin of an epoch, when everything is warm, to the end of the last. Importing, the trial of plans,
the first epochs and the report are left out; what a pack costs besides its epochs is kept apart.
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
from loops import PlanLoop, usual_epoch
from workloads import Workload

from bvalign import RunDirectory

HERE = Path(__file__).parent


def run_fit(
    root: Path,
    workload: Workload,
    plan: str,
    epochs: int,
    more: Mapping[str, object] | None = None,
) -> float:
    """Seconds in training of one command, with `more` options."""
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
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "bvalign", "fit", *(f"--{k}={v}" for k, v in options.items())],
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
    """Largest difference of any weight between a run and a bare loop of the same members."""
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
        plan: the one that `auto` chose.
        rounds: how often each is measured.
        tick: called after each measurement.
    """
    torch.set_num_threads(workload.threads)
    folder, (first, epochs) = Path(tempfile.mkdtemp(prefix="bvalign-throughput-")), workload.epochs
    root, clock = folder / "run", folder / "epochs.json"
    around: list[float] = []
    kept: list[PlanLoop] = []

    def fit() -> float:
        shutil.rmtree(root, ignore_errors=True)
        callback = {"class_path": "loops.Clock", "init_args": {"path": str(clock)}}
        more = {"trainer.callbacks": json.dumps([callback])}
        whole, begun = run_fit(root, workload, plan, epochs, more), json.loads(clock.read_text())
        around.append(whole - (begun[-1] - begun[0]))
        return (begun[-1] - begun[first]) / (epochs - first)

    def bare() -> float:
        loop = PlanLoop(workload, plan, epochs=epochs)
        kept[:] = [loop]
        for epoch in range(epochs):
            if epoch == first:
                begin = time.perf_counter()
            loop.epoch(epoch)
        return (time.perf_counter() - begin) / (epochs - first)

    def usual() -> float:
        warm = workload.validate_every if workload.validate_every < epochs else 1
        return workload.pack * usual_epoch(workload, warm, 3 * warm)

    try:
        found = interleaved({"fit": fit, "bare": bare, "usual": usual}, rounds, tick)
        difference = weight_difference(root, kept[0])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    steps = len(kept[0].batches)
    return {
        "plan": plan,
        "members": workload.pack,
        "threads": workload.threads,
        "epochs": list(workload.epochs),
        "seconds_per_epoch": {name: spread(times) for name, times in found.items()},
        "seconds_besides_epochs": spread(around),
        "step_milliseconds": 1000 * spread(found["bare"])["median"] / steps,
        "over_lightning": ratios(found["usual"], found["fit"]),
        "over_bare": ratios(found["fit"], found["bare"]),
        "difference_from_bare": difference,
    }
