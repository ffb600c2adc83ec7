"""Kills runs at random moments by SIGKILL, resumes them, and checks that nothing was lost.

    python benchmarks/reliability/run.py              # 30 kills; writes results.json, results.md

The same six members (mlp on digits, deterministic) are trained without interruption, and then in
three ways that are killed ten times each: one process, two ranks, two independent workers. A kill
comes at a random moment after the first step that the new start has saved; every third one waits
until a file is being written. Of two ranks one is killed, and the other must notice; every other
resume of that run has one rank instead of two. Of two workers one is killed and started again while
the other continues.

The checks at the end of each run: every member is finished, no finished member was written again,
every file is complete, and samples.csv is byte-identical to that of the uninterrupted run.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress
from safetensors import safe_open

from bvalign import RunDirectory
from bvalign.provenance import provenance

MEMBERS = 6
FIT = (
    f"fit --data=Digits --data.batch_size=32 --model.arch=mlp --model.members={MEMBERS} "
    "--model.pack_size=2 --trainer.max_epochs=25 --trainer.check_val_every_n_epoch=1000 "
    "--trainer.accelerator=cpu --trainer.deterministic=true --trainer.logger=false "
    "--checkpoints.seconds=0"
).split()
WAYS = ("one process", "two ranks", "two workers")
PATIENCE = 300  # seconds until a start must have saved something or ended


class Job:
    """One start of `bvalign fit`, in a process group of its own."""

    def __init__(self, root: Path, ranks: int = 1) -> None:
        command = [sys.executable, "-m", "bvalign", *FIT, f"--trainer.devices={ranks}"]
        self.log = (root.parent / f"{root.name}.log").open("ab")
        self.process = subprocess.Popen(
            [*command, f"--trainer.default_root_dir={root}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self, generator: random.Random) -> None:
        """Kills one rank and waits until the others have ended by themselves."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        victim = generator.choice([self.process.pid, *map(int, children.split())])
        os.kill(victim, signal.SIGKILL)
        self.process.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while _group_lives(self.process.pid):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the job of rank {victim} did not end in {PATIENCE} s")
            time.sleep(0.05)
        self.log.close()

    def wait(self) -> None:
        code = self.process.wait(PATIENCE)
        self.log.close()
        if code:
            raise RuntimeError(f"fit ended with code {code}, see {self.log.name}")


def _group_lives(group: int) -> bool:
    """True if a process of the group runs; zombies do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


def finished_files(root: Path) -> dict[str, tuple[int, int]]:
    """The logits on disk by member, each with its inode and time of change."""
    files = sorted(root.glob("members/*/logits.safetensors"))
    return {f.parent.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def wait_for_moment(root: Path, jobs: list[Job], generator: random.Random, writing: bool) -> bool:
    """Waits until a start has saved something, and then for the moment; False if it ended first.

    Args:
        root: run directory.
        jobs: the processes.
        generator: source of the random moment.
        writing: wait for a file that is being written instead.
    """

    def versions() -> set[tuple[str, int]]:
        return {(str(f), _mtime(f)) for f in root.glob("members/*/*.safetensors")}

    before, deadline = versions(), time.monotonic() + PATIENCE
    while versions() <= before:
        if not any(job.running() for job in jobs) or time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    if not writing:
        time.sleep(generator.uniform(0, 1.5))
    while writing and not next(root.glob("members/*/.*.tmp"), None):
        if not any(job.running() for job in jobs):
            return False
    return any(job.running() for job in jobs)


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@contextmanager
def stopwatch(times: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    times[name] = round(time.monotonic() - start, 1)


def torture(root: Path, way: str, kills: int, seed: int, tick: object) -> dict[str, object]:
    """Kills and resumes a run `kills` times, then lets it end."""
    generator = random.Random(seed)
    done = half_written = rewritten = restarts = 0
    finished: dict[str, tuple[int, int]] = {}
    num_jobs = 2 if way == "two workers" else 1

    def begin() -> Job:
        return Job(root, ranks=2 if way == "two ranks" and restarts % 2 == 0 else 1)

    jobs = [begin() for _ in range(num_jobs)]
    while done < kills:
        if not wait_for_moment(root, jobs, generator, writing=done % 3 == 2):
            break
        victim = generator.choice([job for job in jobs if job.running()])
        victim.kill(generator)
        done += 1
        half_written += bool(next(root.glob("members/*/.*.tmp"), None))
        now = finished_files(root)
        rewritten += sum(now.get(member) != file for member, file in finished.items())
        finished = now
        restarts += 1
        jobs = [job for job in jobs if job.running()]
        jobs += [begin() for _ in range(num_jobs - len(jobs))]
        tick()
    for job in jobs:
        job.wait()
    now = finished_files(root)
    rewritten += sum(now.get(member) != file for member, file in finished.items())
    return {"kills": done, "left_half_written": half_written, "rewritten": rewritten}


def broken_files(root: Path) -> list[str]:
    """Incomplete files of members, and temporary files left behind."""
    broken = []
    for path in sorted(root.glob("members/*/*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except Exception as error:
            broken.append(f"{path}: {error}")
    return broken + [str(path) for path in root.glob("members/*/.*.tmp")]


def study(kills: int, folder: Path) -> dict[str, object]:
    """Trains in all ways and checks what each leaves behind."""
    times: dict[str, float] = {}
    with Progress() as bar:
        task = bar.add_task("uninterrupted", total=kills + 1)
        with stopwatch(times, "uninterrupted"):
            Job(folder / "whole").wait()
        bar.advance(task)
        expected = (folder / "whole" / "samples.csv").read_bytes()
        rows = []
        for number, way in enumerate(WAYS):
            bar.update(task, description=way)
            root, share = folder / way.replace(" ", "-"), len(range(number, kills, len(WAYS)))
            with stopwatch(times, way):
                row = torture(root, way, share, number, lambda: bar.advance(task))
            members, problems = RunDirectory(root).finished()
            rows.append(
                {"way": way, "seconds": times[way], **row}
                | {"members_finished": len(members), "problems": problems + broken_files(root)}
                | {"samples_identical": (root / "samples.csv").read_bytes() == expected}
            )
    return {"members": MEMBERS, "uninterrupted_seconds": times["uninterrupted"], "rows": rows}


def markdown(results: dict[str, object]) -> str:
    lines = [
        "# Interruptions",
        "",
        f"{results['members']} members without interruption: {results['uninterrupted_seconds']} s. "
        "Made by `python benchmarks/reliability/run.py`, whose docstring says what is done.",
        "",
        "| trained by | SIGKILLs | of them while writing | seconds | members finished | finished "
        "members written again | files not whole | samples.csv identical |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in results["rows"]:
        identical = "yes" if row["samples_identical"] else "NO"
        lines.append(
            f"| {row['way']} | {row['kills']} | {row['left_half_written']} | {row['seconds']} | "
            f"{row['members_finished']} of {results['members']} | {row['rewritten']} | "
            f"{len(row['problems'])} | {identical} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=30, help="in all")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bvalign-reliability-"))
    results = study(args.kills, folder) | {"made_with": provenance()}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "results.md").write_text(markdown(results))
    print(markdown(results))
    survived = all(
        row["samples_identical"] and not row["rewritten"] and not row["problems"]
        for row in results["rows"]
    )
    if not survived:
        raise SystemExit(f"something was lost; the runs are in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
