"""What the first owner of a GPU runs: is everything right there, and quick?

    python benchmarks/gpu_check.py                       # all checks in order, under ten minutes
    python benchmarks/gpu_check.py --only graph memory   # some of them
    python benchmarks/gpu_check.py --out gpu.json        # also the numbers behind each line
    python benchmarks/gpu_check.py --list

Each line ends in `ok`, in `FAIL`, followed by what that means and the next command to run, or in
`skipped:` and the reason. The exit code is 0 if no line failed, so also on a machine without a GPU,
where most are skipped. Every check is a process of its own with a time limit: one that crashes,
hangs or runs out of memory does not end the others. `--device cpu --quick` runs what can run
without a GPU, at tiny sizes, to test this file.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from gpu_checks.checks import CHECKS, Check

HERE = Path(__file__).parent
ALL = 600
"""Seconds of all checks; the checks that are left then are skipped."""
RANKS = range(2)
"""Ranks on a CPU, as many as any check needs."""


class Checks:
    """Runs checks one after another and prints a line for each.

    Args:
        device: `cuda` or `cpu`.
        quick: tiny sizes.
        folder: for logs and run directories.
    """

    def __init__(self, device: str, quick: bool, folder: Path) -> None:
        self.device, self.quick, self.folder = device, quick, folder
        self.patience = 1 if device == "cuda" else 5
        self.end = time.monotonic() + ALL * self.patience
        self.devices: int | None = 0  # None: unknown, as their check failed
        self.rows: list[dict[str, object]] = []

    def run(self, check: Check) -> None:
        """Runs one check and prints its line, and after a failure what to do."""
        begin = time.monotonic()
        outcome = self._impossible(check) or self._outcome(check)
        seconds = time.monotonic() - begin
        if check.devices == 0:
            found = outcome["numbers"].get("gpus", []) if self.device == "cuda" else RANKS
            self.devices = len(found) if outcome["verdict"] == "ok" else None
        verdict, says = outcome["verdict"], outcome["says"]
        said = f"skipped: {says}" if verdict == "skipped" else f"{says}  {verdict}"
        print(f"{check.name:<14}{seconds:6.1f} s  {said}", flush=True)
        row = {"name": check.name, "seconds": round(seconds, 2), **outcome}
        if verdict == "FAIL":
            print(f"{'':<22}  {check.means}; next: {check.then}", flush=True)
            row |= {"means": check.means, "next": check.then}
        self.rows.append(row)

    def _impossible(self, check: Check) -> dict[str, object] | None:
        """The outcome of a check that cannot be made, or None."""
        if self.devices is None:
            return _skipped("the environment is not right")
        if self.devices < check.devices:
            here = f"needs {check.devices} GPUs, here is one" if self.devices else "no GPU"
            return _skipped(here)
        if check.devices and time.monotonic() > self.end:
            return self._late(check)
        return None

    def _late(self, check: Check) -> dict[str, object]:
        return _skipped(f"{ALL / 60:.2g} minutes are over; --only {check.name} runs it")

    def _outcome(self, check: Check) -> dict[str, object]:
        """What the process of a check answers; a process that ends without an answer failed."""
        result, log = (self.folder / f"{check.name}.{kind}" for kind in ("json", "log"))
        size = "quick" if self.quick else "full"
        command = [sys.executable, "-m", "gpu_checks.run_one", check.run, self.device, size]
        folders = [HERE.parent, HERE, HERE / "throughput", os.environ.get("PYTHONPATH", "")]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, self.folder, result],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            ended = self._wait(check, process)
        if result.exists():
            return json.loads(result.read_text())
        if ended is None:
            return self._late(check)
        return {"verdict": "FAIL", "says": f"{ended} (log: {log})", "numbers": {}}

    def _wait(self, check: Check, process: subprocess.Popen) -> str | None:
        """Waits for a process and ends all it leaves; how it ended, None: all time is over."""
        begin, limit = time.monotonic(), check.limit * self.patience
        end = min(begin + limit, self.end) if check.devices else begin + limit
        try:
            while process.poll() is None and time.monotonic() < end:
                _show(f"{check.name}: {time.monotonic() - begin:.0f} s, at most {limit}")
                time.sleep(0.1)
            late = process.poll() is None
        finally:
            _show("")
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if late:
            return f"no end within {limit} s" if end == begin + limit else None
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _skipped(why: str) -> dict[str, object]:
    return {"verdict": "skipped", "says": why, "numbers": {}}


def _show(text: str) -> None:
    """Replaces the line of progress on a terminal; elsewhere there is none."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs the checks; 0 if no line failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    names = [check.name for check in CHECKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--list", action="store_true", help="say what each check does, and end")
    parser.add_argument("--out", type=Path, help="JSON with the numbers behind each line")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    args = parser.parse_args(arguments)
    if args.list:
        print("\n".join(f"{check.name:<14}{check.what}" for check in CHECKS))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="bvalign-gpu-check-"))
    checks, begin = Checks(args.device, args.quick, folder), time.monotonic()
    for check in CHECKS:
        if check.devices == 0 or args.only is None or check.name in args.only:
            checks.run(check)
    failed = [row["name"] for row in checks.rows if row["verdict"] == "FAIL"]
    if args.out is not None:
        environment = checks.rows[0]["numbers"]
        results = {"device": args.device, "quick": args.quick, "failed": failed}
        results |= {"seconds": round(time.monotonic() - begin, 1), "environment": environment}
        args.out.write_text(json.dumps(results | {"checks": checks.rows}, indent=1) + "\n")
    for one in folder.iterdir():
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)
    if failed:
        print(f"failed: {', '.join(failed)}; logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
