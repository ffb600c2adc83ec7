"""The benchmark of interruptions: a seeded few of each kind, and the shim that makes them."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from benchmarks.reliability.commands import fit
from benchmarks.reliability.results_file import read, store
from benchmarks.reliability.shim import LOADED, build, read_log
from tests import ROOT
from tests.processes import run_process

ARMED = """
import sys
from pathlib import Path
from benchmarks.reliability.shim import arm
from bvalign.cli import main
root, log, *words = sys.argv[1:]
sys.argv = ["bvalign", *words]
arm(Path(root), Path(log))
main()
"""
"""Runs a command in a process that counts its calls."""

KINDS = {
    "open": ("open", "openat", "creat"),
    "write": (*("write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range"), "splice"),
    "fsync": ("fsync", "fdatasync", "sync_file_range"),
    "rename": ("rename", "renameat", "renameat2"),
    "unlink": ("unlink", "unlinkat"),
    "mkdir": ("mkdir", "mkdirat"),
    "rmdir": ("rmdir",),
    "truncate": ("truncate", "ftruncate", "fallocate"),
    "lock": ("flock",),
    "link": ("link", "linkat", "symlink", "symlinkat"),
    "mmap": ("mmap",),
}
"""Kinds of calls, and the calls of the kernel; the shim must see all but the last."""


def test_a_part_is_stored_beside_the_others(tmp_path):
    points = [{"of": "fit", "call": "write", "points": 3, "tried": 4, "lost": 1}]
    store("bad_inputs", {"tried": 7, "failed": 0, "rows": [{"kind": "zip", "tried": 7}]}, tmp_path)
    store("crash_points", {"tried": 4, "lost": 1, "rows": points}, tmp_path)
    store("eio", {"tried": 2, "lost": 0, "rows": [points[0] | {"tried": 2, "lost": 0}]}, tmp_path)
    assert read(tmp_path)["bad_inputs"]["tried"] == 7
    page = (tmp_path / "results.md").read_text()
    assert "| fit | write | 3 | 4 | 1 | 2 |" in page
    assert "| zip | 7 |" in page


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcc"), reason="the shim is compiled with gcc")
def test_nothing_is_lost_wherever_a_command_is_interrupted(tmp_path):
    options = "--jobs 2 --sample 2 --pairs 1 --kills 30 --commands".split()
    command = [sys.executable, "-m", "benchmarks.reliability.run", "--work", str(tmp_path / "work")]
    command += ["--out", str(tmp_path), *options, "analyze in pieces,merge,fit"]
    done = run_process(command, cwd=ROOT)
    results = json.loads((tmp_path / "results.json").read_text())
    wrong = {part: result["lost"] + result.get("unclear", 0) for part, result in results.items()}
    assert wrong == dict.fromkeys(("crash_points", "enospc", "eio", "random_kills"), 0), done.stdout
    assert results["random_kills"]["tried"] == 30
    assert results["eio"]["tried"] == results["enospc"]["tried"] == 6


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("strace")), reason="needs both")
def test_the_shim_sees_every_call_that_the_kernel_sees(tmp_path):
    root, library, trace = tmp_path / "run", build(tmp_path), tmp_path / "trace"
    traced = ",".join(call for calls in KINDS.values() for call in calls)
    command = ["strace", "-f", "-qq", "-y", "-s", "0", "-e", "signal=none", "-e", f"trace={traced}"]
    command += ["-o", str(trace), sys.executable, "-c", ARMED, str(root), str(tmp_path / "log")]
    with_shim = {LOADED: str(library), "LD_PRELOAD": str(library)}
    done = subprocess.run(
        [*command, *fit(root)],
        env=os.environ | with_shim,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if "PTRACE_TRACEME" in done.stderr:
        pytest.skip("processes cannot be traced here")
    assert done.returncode == 0, done.stderr
    kinds = {call: kind for kind, calls in KINDS.items() for call in calls}
    seen = []
    for call, rest in re.findall(r"^\d+ +(\w+)\((.*)", trace.read_text(), re.MULTILINE):
        only_looks = call in kinds and (
            (kinds[call] == "open" and not re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest))
            or (call == "flock" and "LOCK_UN" in rest)
            or (call == "mmap" and not ("MAP_SHARED" in rest and "PROT_WRITE" in rest))
        )
        if str(root) in rest and not only_looks:
            seen.append("rmdir" if "AT_REMOVEDIR" in rest else kinds[call])
    counted = [call.kind for call in read_log(tmp_path / "log")]
    assert len(counted) > 200
    assert counted == seen
