"""What docs/extending.md adds: it trains, is analysed, or is a patch to a copy of the package."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bvalign import analyze
from tests import ROOT
from tests.copies import writable_copy
from tests.docs.pages import blocks
from tests.ensembles import aligned_ensemble, save_npz
from tests.processes import TINY

BLOCKS = blocks("docs/extending.md")
STATISTIC, MEMBERS = (block.code for block in BLOCKS if block.language == "diff")
AS_W_AND_B_SHOWS = """
import json
from bvalign import analyze, open_predictions
from bvalign.show.loggers.wandb_run import shown_columns

predictions, _ = open_predictions("p.npz")
print(json.dumps(list(shown_columns(analyze(predictions), predictions))))
"""


def block(word):
    return next(block.code for block in BLOCKS if word in block.code)


@pytest.mark.slow
@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("word", "module", "option"),
    [
        ("class Stripes", "my_data", "--data=my_data.Stripes"),
        ("def tiny", "my_networks", "--model.arch=my_networks.tiny"),
        ("class NoisyDigits", "my_noise", "--data=my_noise.NoisyDigits"),
    ],
)
def test_what_is_added_trains_from_the_command_line(bvalign, monkeypatch, word, module, option):
    Path(f"{module}.py").write_text(block(word))
    monkeypatch.syspath_prepend(str(Path.cwd()))
    options = [o for o in TINY if word != "def tiny" or ("width" not in o and "arch" not in o)]
    options = [o for o in options if not o.startswith("--data.") or "Stripes" not in word]
    bvalign("fit", option, *options, "--model.members=2", "--trainer.logger=false")
    assert list(Path("runs").glob("*/report.html"))
    sys.modules.pop(module)


@pytest.mark.slow
def test_the_estimator_has_the_interval_of_the_report(capsys):
    names = {}
    exec(compile(block("def interval_of"), "extending.md", "exec"), names)
    assert capsys.readouterr().out == f"{analyze(names['logits']).means['variance_01']}\n"


@pytest.mark.slow
def test_what_the_reader_reads_is_analysed():
    names = {}
    exec(compile(block("def read("), "extending.md", "exec"), names)
    assert (names["result"].num_members, names["result"].num_samples) == (4, 100)


def apply(patch, folder):
    """Replaces what each hunk takes away and keeps by what it keeps and adds; returns the files."""
    files = []
    for part in re.split(r"^--- .*\n", patch, flags=re.MULTILINE)[1:]:
        header, *hunks = re.split(r"^@@\n", part, flags=re.MULTILINE)
        path = folder / header.removeprefix("+++ b/").strip()
        text = path.read_text() if path.exists() else ""
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] in f" {s}") for s in "-+")
            assert text.count(old) == 1 or not path.exists(), old
            text = text.replace(old, new) if path.exists() else new
        path.write_text(text)
        files.append(path.relative_to(folder).as_posix())
    return files


@pytest.fixture
def extended(tmp_path):
    """Applies patches and returns the files they touch and a way to run Python with them."""
    writable_copy(ROOT / "bvalign", tmp_path / "bvalign")
    writable_copy(ROOT / "docs", tmp_path / "docs")
    save_npz(tmp_path / "p.npz", *ensemble())

    def run(*patches):
        files = [name for patch in patches for name in apply(patch, tmp_path)]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}

        def python(*arguments):
            done = subprocess.run(
                [sys.executable, *arguments],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        python("-m", "bvalign", "analyze", "p.npz", "--out", "out")
        return files, python

    return run


def ensemble():
    """Members of different temperature, whose entropies differ on all samples alike."""
    logits, target = aligned_ensemble(members=8, samples=120)
    return logits.numpy() * np.linspace(0.8, 1.2, 8)[:, None, None], target


def entropies():
    """Of every member on every sample."""
    logits, _ = ensemble()
    probs = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs /= probs.sum(axis=-1, keepdims=True)
    return -(probs * np.log(probs)).sum(axis=-1)


@pytest.mark.slow
def test_a_per_sample_statistic_is_added_in_four_files_with_its_test(extended, tmp_path):
    files, python = extended(STATISTIC)
    assert len(files) == 3
    with (tmp_path / "out/samples.csv").open() as file:
        column = np.array([float(row["mean_entropy"]) for row in csv.DictReader(file)])
    np.testing.assert_allclose(column, entropies().mean(axis=0), rtol=1e-9)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    mean = summary["means"]["mean_entropy"]
    assert mean["value"] == pytest.approx(column.mean())
    assert mean["interval"] is None
    assert mean["interval_samples"][0] < mean["value"] < mean["interval_samples"][1]
    assert "over samples alone" in mean["reason"]
    page = (tmp_path / "out/report.html").read_text()
    data = re.search(r'id="page-data">(.*?)</script>', page, flags=re.DOTALL)[1]
    assert "nats" in json.loads(data)["seen"]["mean_entropy"].values()
    assert "mean_entropy" in json.loads(python("-c", AS_W_AND_B_SHOWS))


@pytest.mark.slow
def test_its_interval_over_members_is_added_in_two_files(extended, tmp_path):
    """With eight members each is a group: the spread without one is that of their means."""
    files, _ = extended(STATISTIC, MEMBERS)
    assert len(files) == 5
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    mean, values = summary["means"]["mean_entropy"], entropies()
    assert mean["value"] == pytest.approx(values.mean(), rel=1e-9)
    assert mean["reason"] is None
    low, high = mean["interval"]
    assert low < mean["interval_samples"][0] < mean["interval_samples"][1] < high
    of_samples = values.mean(axis=0).var(ddof=1) / 120
    of_members = values.mean(axis=1).var(ddof=1) / 8
    both = values.var(axis=0, ddof=1).sum() / 8 / 120**2
    extra = max(of_members - both, 0.0)
    total = of_samples + extra
    freedom = total**2 / (of_samples**2 / 119 + extra * of_members / 7)
    expected = stats.t.interval(0.95, freedom, values.mean(), total**0.5)
    assert mean["interval"] == pytest.approx(expected, rel=1e-6)
