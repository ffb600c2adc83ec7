"""Several GPUs: members of their own on each, ddp, and the death of a rank."""

import os
import signal
import time
from pathlib import Path

from gpu_checks.outcome import CheckError, Found, Setting, require
from gpu_checks.runs import fit, largest_difference, log_of, start, wait_for_checkpoint

from bvalign import RunDirectory

FLOAT64 = 1e-8
"""Largest difference of a weight in float64; 1e-13 on CPUs."""
TIMEOUT = 40
"""Seconds that ranks wait for each other where one hangs."""
EXACT = ("--model.arch=mlp", "--model.members=5", "--trainer.precision=64-true")
SHORT = (*EXACT, "--model.pack_size=2", "--trainer.max_epochs=4")
"""Five members in packs of two: on two ranks one has a smaller pack, and one none in the end."""
LONG = (*EXACT, "--trainer.max_epochs=20000")
STRATEGY = "--trainer.strategy=bvalign.ensemble.strategy.MemberParallelStrategy"


def odd_members(setting: Setting) -> Found:
    """Two ranks train the members of one process, also where one of them has none."""
    run = fit(setting, setting.folder / "ranks", *SHORT, "--trainer.devices=2")
    return _as_alone(setting, run)


def ddp(setting: Setting) -> Found:
    """Two ranks that split each batch train the members of one process."""
    strategy = ("--trainer.devices=2", "--trainer.strategy=ddp")
    return _as_alone(setting, fit(setting, setting.folder / "ddp", *SHORT, *strategy))


def _as_alone(setting: Setting, run: RunDirectory) -> Found:
    root = setting.folder / "alone"
    alone = RunDirectory(root) if root.exists() else fit(setting, root, *SHORT)
    difference = largest_difference(run, alone)
    numbers = {"difference": difference, "packs": run.packs}
    says = f"{run.num_members} members, weights differ by {difference:.1e}"
    require(difference <= FLOAT64, f"{says}, at most {FLOAT64:.0e}", numbers)
    return Found(says, numbers)


def killed(setting: Setting) -> Found:
    """Of two ranks one is killed: the job ends by itself and names it."""
    return _without_a_rank(setting, signal.SIGKILL, "rank: 1", "rank 1 was killed")


def hung(setting: Setting) -> Found:
    """Of two ranks one is stopped: the other waits for a time, names it and ends."""
    return _without_a_rank(
        setting,
        signal.SIGSTOP,
        "rank 1 did not answer in time",
        options=(STRATEGY, f"--trainer.strategy.timeout=0:00:{TIMEOUT}"),
    )


def _without_a_rank(
    setting: Setting, number: signal.Signals, *named: str, options: tuple[str, ...] = ()
) -> Found:
    """Sends a signal to rank one in training, and waits for the end of the job."""
    root = setting.folder / number.name
    process = start(setting, root, *LONG, "--trainer.devices=2", *options)
    wait_for_checkpoint(root, process)
    (rank,) = _children(process.pid)
    begin = time.monotonic()
    os.kill(rank, number)
    code = process.wait()
    seconds = time.monotonic() - begin
    said = log_of(root).read_text(errors="replace")
    print(said)
    require(code != 0, f"the job ended as if nothing had happened, after {seconds:.0f} s")
    require(any(name in said for name in named), f"no line names rank 1: {_last(said)}")
    require(not is_running(rank), "rank 1 runs on")
    return Found(f"ended after {seconds:.0f} s: {_last(said)}", {"seconds": seconds})


def _children(process: int) -> list[int]:
    """The ranks that a process has started."""
    ranks = []
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if any(b"fit_quickly" in word for word in words):
            ranks.append(int(child))
    if not ranks:
        raise CheckError(f"process {process} has started no rank")
    return ranks


def is_running(process: int) -> bool:
    """Whether a process is there; one that only waits to be collected is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["nothing was said"])[-1][:120]
