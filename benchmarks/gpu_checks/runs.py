"""`bvalign fit`, and the members that it leaves."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import torch
from gpu_checks.fit_quickly import main
from gpu_checks.outcome import CheckError, Setting, require

from bvalign import RunDirectory

FIT = (
    "fit --data=Digits --data.batch_size=32 --model.arch=cnn --model.members=4 --model.plan=packed "
    "--trainer.check_val_every_n_epoch=1000 --trainer.logger=false "
    "--trainer.enable_progress_bar=false --checkpoints.seconds=0"
).split()


def arguments(setting: Setting, root: Path, *more: str) -> list[str]:
    """Words of a fit in a folder; of options that are given twice the last one counts."""
    tiny = ["--data.num_train=100", "--data.num_test=57", "--data.batch_size=20"]
    return [
        *FIT,
        *(tiny if setting.quick else []),
        f"--trainer.accelerator={'gpu' if setting.device == 'cuda' else 'cpu'}",
        "--trainer.devices=1",
        *more,
        f"--trainer.default_root_dir={root}",
    ]


def start(setting: Setting, root: Path, *more: str) -> subprocess.Popen:
    """Starts a fit; what it says goes to `root`.log and is read by `end`."""
    command = [sys.executable, "-m", "gpu_checks.fit_quickly", *arguments(setting, root, *more)]
    with log_of(root).open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def end(process: subprocess.Popen, root: Path, code: int = 0) -> str:
    """What a fit has said once it has ended.

    Raises:
        CheckError: it ended with another code.
    """
    process.wait()
    said = log_of(root).read_text(errors="replace")
    print(said)  # into the log of the check
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    if process.returncode != code:
        raise CheckError(f"fit ended with code {process.returncode}, not {code}: {last[0][:200]}")
    return said


def fit(setting: Setting, root: Path, *more: str) -> RunDirectory:
    """The run of a fit that has ended well."""
    end(start(setting, root, *more), root)
    return RunDirectory(root)


def fit_here(setting: Setting, root: Path, *more: str) -> str:
    """What a fit in this process has said.

    Raises:
        CheckError: it ended early.
    """
    said = StringIO()
    sys.argv = ["bvalign", *arguments(setting, root, *more)]
    try:
        with redirect_stderr(said):
            main()
    except SystemExit as stop:
        raise CheckError(f"fit ended: {stop}") from stop
    finally:
        print(said.getvalue())  # into the log of the check
    return said.getvalue()


def log_of(root: Path) -> Path:
    """Where a fit in `root` says what it says."""
    return root.with_name(f"{root.name}.log")


def wait_for_checkpoint(root: Path, process: subprocess.Popen) -> None:
    """Waits until members in training have been saved.

    Raises:
        CheckError: the fit ended first.
    """
    while not next(root.glob("members/*/checkpoint-*.safetensors"), None):
        if process.poll() is not None:
            end(process, root, code=-1)
        time.sleep(0.01)


def pairs(a: RunDirectory, b: RunDirectory) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Corresponding weights of all members of two runs, which must all be finished in both."""
    members, problems = a.finished()
    same = (members, problems) == b.finished() and len(members) == a.num_members
    require(same, f"members {members} of {a.num_members} are finished; {'; '.join(problems)}")
    for member in members:
        there = b.member(member).weights()
        for name, here in a.member(member).weights().items():
            yield f"{name} of member {member}", here, there[name]


def largest_difference(a: RunDirectory, b: RunDirectory) -> float:
    """Largest difference of any weight of two runs."""
    return max(float((x.double() - y.double()).abs().max()) for _, x, y in pairs(a, b))


def require_bit_equal(a: RunDirectory, b: RunDirectory) -> int:
    """Counts the members of two runs; their weights and results must not differ in a bit.

    Raises:
        CheckError: names the first difference.
    """
    for name, here, there in pairs(a, b):
        require(torch.equal(here, there), f"{name} differs")
    same = (a.root / "samples.csv").read_bytes() == (b.root / "samples.csv").read_bytes()
    require(same, "samples.csv differs, the weights do not")
    return a.num_members
