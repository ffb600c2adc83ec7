"""Makes the files of this folder that are compared with what bvalign computes today.

    inputs/                predictions, and two run directories
        labelled.npz       12 members, so that every estimator, curve, class, decade and the model
                           of neural collapse are defined; margins of 0 to 25 nats
        unlabelled.npz     logits alone
        weighted.npz       members that count differently and have names; samples out of order
        votes.npz          integer votes
        two-classes.npz    logits of two classes
        one.csv            probabilities of one member
        three/             a folder of three members
        digits/            a finished run: 6 members in packs of 2
        digits-stopped/    the same run, stopped by SIGTERM in the second pack: members 0 and 1 are
                           finished, 2 and 3 have a checkpoint within an epoch, 4 and 5 nothing
    expected/              summary.json and samples.csv of each, and compare.json of both runs as
                           they lie, with the summaries of their time (schema 1)
    cases.json             the commands

Inputs, runs and numbers were written by commit 55569e3 (run.json names it); two-classes is younger.

    python tests/golden/make.py expected     numbers that have moved on purpose: lists old and new
    python tests/golden/make.py inputs       all of it anew; old runs no longer prove that runs of
                                             that commit are read

Both call `python -m bvalign` and nothing else of it: what PYTHONPATH names, else what is installed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from differences import differences, listing, read_csv, read_json

HERE = Path(__file__).parent
INPUTS, EXPECTED = HERE / "inputs", HERE / "expected"
CASES = json.loads((HERE / "cases.json").read_text())
RUNS = ("digits", "digits-stopped")
NOT_KEPT = ("figures", "report.html")
"""Files of a run that hold no number."""

STEPS_OF_A_PACK, STOPPED_AFTER = 6 * 15, 37
"""Epochs times batches; the stop is in the seventh batch of the third epoch."""

STOP = f"""
import os, runpy, signal
from torch.optim.optimizer import register_optimizer_step_post_hook
steps = 0
def count(*_):
    global steps
    steps += 1
    if steps == {STEPS_OF_A_PACK} + {STOPPED_AFTER}:
        os.kill(os.getpid(), signal.SIGTERM)
register_optimizer_step_post_hook(count)
runpy.run_module("bvalign", run_name="__main__", alter_sys=True)
"""
"""`python -m bvalign` that is asked to stop after so many steps."""


def main() -> None:
    """Makes what the command line names."""
    wanted = sys.argv[1:]
    if wanted not in (["inputs"], ["expected"]):
        raise SystemExit(__doc__)
    if wanted == ["inputs"]:
        shutil.rmtree(INPUTS, ignore_errors=True)
        INPUTS.mkdir()
        make_predictions()
        make_runs()
    write_expected()


def make_predictions() -> None:
    """Writes random predictions; every axis has its own length."""
    logits, labels = _ensemble(12, 240, 5, seed=0)
    np.savez(INPUTS / "labelled.npz", logits=logits, labels=labels)
    logits, _ = _ensemble(8, 120, 4, seed=1)
    np.savez(INPUTS / "unlabelled.npz", logits=logits)
    logits, labels = _ensemble(8, 120, 4, seed=2)
    np.savez(
        INPUTS / "weighted.npz",
        logits=logits,
        labels=labels,
        weights=np.arange(1, 9) / 2,
        index=np.random.default_rng(2).permutation(120) + 7,
        members=np.array([f"seed{m}" for m in range(8)]),
    )
    logits, labels = _ensemble(12, 240, 5, seed=3, noise=4.0)
    np.savez(INPUTS / "votes.npz", votes=logits.argmax(axis=-1).astype(np.int16), labels=labels)
    logits, labels = _ensemble(8, 120, 2, seed=6)
    np.savez(INPUTS / "two-classes.npz", logits=logits, labels=labels)
    logits, labels = _ensemble(1, 60, 3, seed=4)
    _write_probabilities(INPUTS / "one.csv", logits[0].astype(np.float64), labels)
    logits, labels = _ensemble(3, 60, 4, seed=5)
    (INPUTS / "three").mkdir()
    for member, own in enumerate(logits):
        np.save(INPUTS / "three" / f"seed{member}.npy", own)
    np.save(INPUTS / "three" / "labels.npy", labels)
    np.save(INPUTS / "three" / "class_names.npy", np.array(["ant", "bee", "cow", "doe"]))


def make_runs() -> None:
    """Trains the finished run, and the same until it is stopped; each gets its report."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["fit", *CASES["fit"], "--trainer.default_root_dir"]
        _run(scratch, "-m", "bvalign", *arguments, RUNS[0])
        _run(scratch, "-c", STOP, *arguments, RUNS[1], code=75)
        _run(scratch, "-m", "bvalign", "report", RUNS[1])
        ignore = shutil.ignore_patterns(*NOT_KEPT)
        for run in RUNS:
            shutil.copytree(Path(scratch) / run, INPUTS / run, ignore=ignore)


def write_expected() -> None:
    """Writes what the stored inputs give, and lists what differs from what was there."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(INPUTS, scratch, dirs_exist_ok=True)
        for case, (source, *options) in CASES["analyze"].items():
            out = Path(scratch, "out", case)
            _run(scratch, "-m", "bvalign", "analyze", source, "--out", out, *options)
            _replace(out / "summary.json", EXPECTED / case / "summary.json", read_json)
            _replace(out / "samples.csv", EXPECTED / case / "samples.csv", read_csv)
        _run(scratch, "-m", "bvalign", "compare", *RUNS, "--out", "both")
        _replace(Path(scratch, "both/compare.json"), EXPECTED / "compare.json", read_json)


def _replace(new: Path, old: Path, read: object) -> None:
    name = f"{old.parent.name}/{old.name}"
    if old.exists():
        found = differences(read(old), read(new))
        print(f"{name}: {len(found)} values differ")
        print(listing(found), end="\n" if found else "")
    else:
        print(f"{name}: new")
    old.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(new, old)


def _run(folder: str, *arguments: object, code: int = 0) -> None:
    """Runs Python in a folder, whose name no output repeats as all paths are relative to it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    if done.returncode != code:
        raise SystemExit(f"exit code {done.returncode} instead of {code}: {arguments}")


def _ensemble(
    members: int, samples: int, classes: int, *, seed: int, noise: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Float32 logits whose margins spread over decades, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=samples)
    logits = noise * rng.standard_normal((members, samples, classes))
    logits[:, np.arange(samples), labels] += rng.uniform(0, 25, size=samples)
    return logits.astype(np.float32), labels


def _write_probabilities(path: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    names = ["member", "sample", "label", *(f"p{k}" for k in range(probs.shape[1]))]
    rows = [
        ",".join(["0", str(sample), str(label), *(f"{p:.17g}" for p in own)])
        for sample, (label, own) in enumerate(zip(labels.tolist(), probs.tolist(), strict=True))
    ]
    path.write_text("\n".join([",".join(names), *rows, ""]))


if __name__ == "__main__":
    main()
