"""Kinds of bad input: a few in this process, 250 in forks, and files that are changed at random."""

import os
import subprocess
import sys

import pytest

from tests import ROOT

FOLDER = ROOT / "benchmarks" / "reliability"
sys.path.append(str(FOLDER))  # last: `run` and the like are those of other benchmarks

import try_bad_inputs  # noqa: E402
from bad_inputs import any_file, harness, in_arrays, in_tables  # noqa: E402
from bad_inputs.kind import Kind  # noqa: E402

QUICK = [
    kind
    for part in (any_file, in_arrays, in_tables)
    for kind in part.kinds()
    if kind.expected == "refused" and " 20 MB" not in kind.fault and "00 " not in kind.fault
]


def attempted(kind, root, capfd, monkeypatch):
    """What is wrong with the outcome of a kind in this process."""
    root.mkdir()
    (root / "tmp").mkdir()
    monkeypatch.chdir(root)
    made = kind.make(root)
    code = harness.run(made)
    return harness.judge(kind, root, code, *capfd.readouterr())


def test_a_few_kinds_of_each_target_are_refused_in_one_line(tmp_path, capfd, monkeypatch):
    kinds = try_bad_inputs.sampled(QUICK, 25, seed=0)
    problems = {
        kind.name: problem
        for number, kind in enumerate(kinds)
        if (problem := attempted(kind, tmp_path / str(number), capfd, monkeypatch))
    }
    assert not problems


def test_there_are_250_kinds_and_more_of_different_names():
    assert len(try_bad_inputs.all_kinds()) > 250


@pytest.mark.parametrize(
    ("problem", "code", "stderr", "file"),
    [
        ("ended with 1", 1, "Traceback (most recent call last):\n", ""),
        ("ended with -11", -11, "", ""),
        ("no single line", 1, "bvalign: error: p.npz must not\nand more\n", ""),
        ("does not name", 1, "bvalign: error: it must be otherwise\n", ""),
        ("no remedy", 1, "bvalign: error: p.npz is bad\n", ""),
        ("printed '\\x1b'", 1, "bvalign: error: p.npz must \x1b[31m\n", ""),
        ("must be refused", 0, "", ""),
        ("ran the code", 1, "bvalign: error: p.npz must not\n", harness.CANARY),
        ("behind", 1, "bvalign: error: p.npz must not\n", "tmp/bvalign-x"),
        ("and failed", 1, "bvalign: error: p.npz must not\n", "out/summary.json"),
        (None, 1, "bvalign: error: p.npz must not\n", ""),
    ],
)
def test_what_counts_as_a_failure(tmp_path, problem, code, stderr, file):
    for folder in ("tmp", "out"):
        (tmp_path / folder).mkdir()
    if file:
        (tmp_path / file).touch()
    kind = Kind("npz", "something", lambda folder: [], names=("p.npz",))
    found = harness.judge(kind, tmp_path, code, "", stderr)
    assert found is None if problem is None else problem in found


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute and a half, on a machine that does nothing else
@pytest.mark.parametrize(
    "command",
    ["try_bad_inputs.py --predictions --sample 250", "fuzz.py --minutes 1 --seed 1 --out fuzz"],
)
def test_bad_inputs_in_forks_and_files_that_are_changed_at_random(tmp_path, command):
    script, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
