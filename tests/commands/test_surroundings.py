"""Commands on plain terminals, under backends of notebooks, without a home, and of tiny inputs."""

import io
import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign import analyze
from bvalign.commands.surroundings import adapt_to_surroundings
from tests.ensembles import mixed_ensemble, predictions_of, random_ensemble, save_npz
from tests.processes import TINY, bvalign_process, run_process

ASCII = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
}


def test_a_terminal_without_accents_prints_what_it_can():
    logits, target = (x.numpy() for x in mixed_ensemble(members=4, samples=30))
    logits = np.concatenate([logits, logits[:1]])
    names = ["é ± 1", "b", "c", "d", "f²"]
    save_npz("p.npz", logits, target, members=names)
    surroundings = os.environ | ASCII
    out = ("--out", "é")
    done = run_process(bvalign_process("analyze", "p.npz", *out), env=surroundings)
    assert "exact copies: member f^2 of ? +- 1" in done.stdout
    shutil.copytree("é", "ü")
    both = run_process(bvalign_process("compare", "é", "ü", *out), env=surroundings)
    assert "comparison of 2 runs" in both.stdout
    page = Path("é/compare.html").read_text()
    assert "ü" in page
    assert "\\udc" not in page


def test_a_fit_prints_on_a_terminal_without_accents():
    fit = ("fit", *TINY, "--model.members=2", "--trainer.logger=false")
    done = run_process(bvalign_process(*fit), env=os.environ | ASCII)
    assert "2 members on 57 samples" in done.stdout


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_figures_are_drawn_whatever_the_backend_is_called(backend):
    save_npz("p.npz", *random_ensemble(members=3, samples=12))
    surroundings = os.environ | {"MPLBACKEND": backend}
    command = [sys.executable, "-m", "bvalign", "analyze", "p.npz", "--out", "out"]
    done = run_process(command, env=surroundings)
    assert done.stderr.count("\n") <= 1  # the progress bar


@pytest.mark.parametrize("home", [None, "locked"])
def test_no_home_makes_no_noise(tmp_path, home):
    save_npz("p.npz", *random_ensemble(members=3, samples=12))
    surroundings = dict(os.environ)
    del surroundings["HOME"]
    if home:
        (tmp_path / "locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
        surroundings |= {"HOME": home, "MPLCONFIGDIR": home}
    done = run_process(bvalign_process("analyze", "p.npz", "--out", "out"), env=surroundings)
    assert "atplotlib" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_characters_that_stand_for_nothing_are_question_marks(monkeypatch, name):
    written = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding="ascii"))
    adapt_to_surroundings()
    print("0.5 ± 0.1 − 2² é…", file=getattr(sys, name), flush=True)
    assert written.getvalue() == b"0.5 +- 0.1 - 2^2 ?...\n"


def test_one_sample_and_no_risk_are_told_in_words():
    logits, target = random_ensemble(members=4, samples=1)
    assert repr(analyze(predictions_of(logits, target))).startswith("4 members on 1 sample: ")
    assert repr(analyze(predictions_of(logits))).startswith("4 members on 1 sample without labels")
    assert repr(analyze(predictions_of(logits[:1], target))).startswith("1 member on 1 sample: ")
    sure = torch.full((3, 20, 4), -torch.inf)
    sure[..., 1] = 0
    said = repr(analyze(predictions_of(sure, torch.ones(20, dtype=torch.int64))))
    assert "mean squared bias 0, variance 0 (risk 0)" in said
    assert "nan" not in said


def test_texts_that_are_too_long_for_a_page_are_cut_with_a_sign(tmp_path, bvalign):
    logits, target = random_ensemble(members=3, samples=40)
    texts = np.array([f"{n} " + "é" * 400_000 for n in range(40)])
    names = np.array(["n" * 5000, "b", "c", "d"])
    save_npz("p.npz", logits, target, texts=texts, class_names=names)
    bvalign("analyze", "p.npz", "--out", "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert len(page.encode()) < 15_000_000
    assert "40 long texts are shortened" in page
    assert "n … (4,900 more characters)" in page
