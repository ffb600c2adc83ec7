"""What the first owner of a GPU runs says so where there is none, and survives what it finds."""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from bvalign.ensemble.stepping import Stepping
from tests import ROOT

FOLDER = ROOT / "benchmarks"
sys.path += [str(FOLDER), str(FOLDER / "throughput")]

import gpu_check  # noqa: E402
from gpu_checks import fits, ranks, steps, syncs  # noqa: E402
from gpu_checks.checks import CHECKS, Check  # noqa: E402
from gpu_checks.outcome import CheckError, Setting  # noqa: E402

pytestmark = pytest.mark.timeout(1800)  # seconds; minutes where nothing else runs
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without")


@pytest.fixture
def setting(tmp_path):
    return Setting("cpu", True, tmp_path)


@without_cuda
def test_without_a_gpu_all_is_skipped_but_the_environment(tmp_path, capsys):
    assert gpu_check.main(["--out", str(tmp_path / "found.json")]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("environment")
    assert first.endswith("  ok")
    assert [line.split()[0] for line in others] == [check.name for check in CHECKS[1:]]
    assert all(line.endswith("skipped: no GPU") for line in others)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["device"], found["failed"]) == ("cuda", [])
    assert found["environment"]["gpus"] == []
    assert found["environment"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert {row["verdict"] for row in found["checks"]} == {"ok", "skipped"}


FAULTS = """
import os, signal, subprocess, sys, time
from gpu_checks.outcome import CheckError, Found, NotHereError

def environment(setting):
    return Found("one GPU", {"gpus": [{}]})

def good(setting):
    return Found(f"{setting.device}, {setting.quick}", {"number": 5})

def wrong(setting):
    raise CheckError("weights differ by 0.1", {"largest": 0.1})

def crash(setting):
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)

def bug(setting):
    return 1 / 0

def hang(setting):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    (setting.folder / "child").write_text(str(child.pid))
    time.sleep(1000)

def elsewhere(setting):
    raise NotHereError("no network")
"""
NAMES = ("environment", "wrong", "crash", "bug", "hang", "elsewhere", "pair", "good")


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """Checks that fail in every way, and one that does not."""
    (tmp_path / "faults.py").write_text(FAULTS)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # logs of failures stay
    needed = {"environment": 0, "pair": 2}
    checks = [
        Check(
            *(name, f"faults:{name}", "", 2 if name == "hang" else 60),
            *(f"{name} is broken", f"try {name}", needed.get(name, 1)),
        )
        for name in NAMES
    ]
    monkeypatch.setattr(gpu_check, "CHECKS", checks)


def run(capsys, tmp_path, *arguments):
    """The exit code, the lines, and the outcome of each check."""
    code = gpu_check.main([*arguments, "--out", str(tmp_path / "found.json")])
    rows = json.loads((tmp_path / "found.json").read_text())["checks"]
    return code, capsys.readouterr().out.splitlines(), {row["name"]: row for row in rows}


def test_a_failure_of_any_kind_is_a_line_with_the_next_command_and_ends_nothing(
    faults, tmp_path, capsys
):
    code, lines, found = run(capsys, tmp_path)
    assert code == 1
    failed = ["wrong", "crash", "bug", "hang"]
    assert [name for name in NAMES if found[name]["verdict"] == "FAIL"] == failed
    for name in failed:
        number = next(i for i, line in enumerate(lines) if line.startswith(name))
        assert lines[number].endswith("  FAIL")
        assert lines[number + 1].strip() == f"{name} is broken; next: try {name}"
    assert found["wrong"]["says"] == "weights differ by 0.1"
    assert found["wrong"]["numbers"] == {"largest": 0.1}
    assert found["crash"]["says"].startswith("ended by SIGSEGV (log: ")
    assert found["bug"]["says"] == "ZeroDivisionError: division by zero"
    assert found["hang"]["says"].startswith("no end within 2 s (log: ")
    assert found["elsewhere"]["says"] == "no network"
    assert found["pair"]["says"] == "needs 2 GPUs, here is one"
    assert (found["good"]["verdict"], found["good"]["numbers"]) == ("ok", {"number": 5})
    assert found["good"]["says"] == "cuda, False"
    logs = lines[-1].removeprefix("failed: wrong, crash, bug, hang; logs are in ")
    assert Path(logs, "crash.log").read_text() == "last words\n"
    assert not ranks.is_running(int(Path(logs, "child").read_text()))  # it ends with its check


def test_some_checks_on_a_cpu(faults, tmp_path, capsys):
    code, lines, found = run(capsys, tmp_path, "--only", "good", "--device", "cpu", "--quick")
    assert code == 0
    assert [line.split()[0] for line in lines] == ["environment", "good"] == [*found]
    assert found["good"]["says"] == "cpu, True"


def test_what_is_left_after_ten_minutes_is_skipped(faults, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu_check, "ALL", 1.5)
    by_name = {check.name: check for check in gpu_check.CHECKS}
    slow = by_name["hang"]._replace(limit=100)
    checks = [by_name["environment"], slow, by_name["good"]]
    monkeypatch.setattr(gpu_check, "CHECKS", checks)
    code, lines, _ = run(capsys, tmp_path)
    assert code == 0
    for line, name in zip(lines[1:], ("hang", "good"), strict=True):
        assert line.endswith(f"skipped: 0.025 minutes are over; --only {name} runs it")


def test_nothing_is_checked_in_a_wrong_environment(faults, tmp_path, capsys, monkeypatch):
    wrong, good = gpu_check.CHECKS[1], gpu_check.CHECKS[-1]
    monkeypatch.setattr(gpu_check, "CHECKS", [wrong._replace(devices=0), good])
    code, lines, _ = run(capsys, tmp_path)
    assert code == 1
    assert lines[2].endswith("skipped: the environment is not right")


def test_every_check_exists_and_says_what_to_do(capsys):
    assert gpu_check.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [check.name for check in CHECKS]
    for check in CHECKS:
        module, _, function = check.run.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))
        for word in check.then.split():
            if word.startswith(("tests/", "benchmarks/")):
                assert (ROOT / word).exists(), check.then


@pytest.mark.parametrize("check", [steps.parity, steps.bf16, steps.replay])
def test_steps_on_a_cpu_pass(check, setting):
    found = check(setting)
    assert found.numbers
    assert all(0 <= value < 0.2 for value in found.numbers.values())


@pytest.mark.parametrize(("value", "holds"), [(0.1, True), (0.3, False), (math.nan, False)])
def test_the_worst_number_decides(value, holds):
    numbers = {"a": 0.0, "b": value, "c": 0.05}
    if holds:
        assert steps._within(numbers, 0.2, "off by").says == "off by 1.0e-01 (b)"
        return
    with pytest.raises(CheckError, match=r"off by (3.0e-01|nan) \(b\), at most 2e-01"):
        steps._within(numbers, 0.2, "off by")


def test_accuracies_may_differ_by_chance_only():
    theirs = torch.tensor([0.90, 0.92, 0.91, 0.93]).double()
    noise = torch.tensor([0.02, -0.02, 0.01, -0.02]).double()
    assert fits.compare_accuracies(theirs, theirs)["accuracy_difference"] == 0
    assert fits.compare_accuracies(theirs + noise, theirs)["accuracy_error"] > 0
    with pytest.raises(CheckError, match=r"mean accuracies differ by -0.0600, by chance 0.0050"):
        fits.compare_accuracies(theirs - 0.06, theirs)


def test_a_step_that_waits_for_the_device_is_named(setting, monkeypatch, without_figures):
    """The device is a CPU: a `.item()` raises while the watch has switched synchronizing off."""
    state, losses = {"mode": "default"}, Stepping.losses
    switched = []

    def switch(mode):
        switched.append(mode)
        state["mode"] = mode

    def waits(self, logits, target):
        if state["mode"] == "error":
            raise RuntimeError("called a synchronizing CUDA operation\nand more")
        return losses(self, logits, target)

    watch = syncs.Watch(switch)
    syncs.watched_fit(setting, watch, "sequential")
    assert watch.steps >= syncs.STEPS
    assert switched[0] == "error"
    assert set(switched[1:]) == {"default"}
    monkeypatch.setattr(Stepping, "losses", waits)
    root = setting._replace(folder=setting.folder / "again")
    with pytest.raises(CheckError, match=r"stepping.py:\d+ .*: called a synchronizing CUDA oper"):
        syncs.watched_fit(root, syncs.Watch(switch), "sequential")
    assert state["mode"] == "default"


@pytest.mark.slow
def test_what_can_run_on_a_cpu_passes_there(tmp_path):
    names = (
        "evaluation syncs deterministic resume graph recipe memory ranks ddp killed speed".split()
    )
    command = [sys.executable, FOLDER / "gpu_check.py", "--device", "cpu", "--quick"]
    done = subprocess.run(
        [*command, "--only", *names], capture_output=True, text=True, check=False, timeout=1700
    )
    verdicts = [line.rpartition("  ")[2] for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout
    lines = dict(zip(["environment", *names], done.stdout.splitlines(), strict=True))
    assert lines.pop("memory").endswith("skipped: a CPU has no memory of its own")
    assert all(line.endswith("  ok") for line in lines.values()), verdicts
