"""Finished runs of before: their summaries are made anew, or the reason why not is told."""

import json
import shutil
import sys

import pytest

from tests import ROOT
from tests.copies import writable_copy

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import measures
import study
import summaries
from verdicts import BOTH


@pytest.fixture
def old_run(tmp_path):
    """A finished run of a study, as it was stored with schema 1."""
    one = study.StudyRun("digits", "config", "configs/digits.yaml", {}, tmp_path)
    writable_copy(ROOT / "tests" / "golden" / "inputs" / "digits", one.path)
    (one.path / "cost.json").write_text('{"seconds": 1.0, "failed": null}')
    assert json.loads((one.path / "summary.json").read_text())["schema"] == 1
    assert one.finished
    return one


def test_a_run_of_before_is_analysed_again_once(old_run, without_figures, capsys):
    found, refused = summaries.read_summaries([old_run])
    assert "digits: summary of schema 1, analysing again" in capsys.readouterr().out
    assert refused == {}
    assert found["digits"]["schema"] == summaries.SCHEMA
    assert (old_run.path / "fit.log").read_text()
    numbers = measures.measure(old_run.path)
    assert numbers["accuracy"]["over"] == BOTH
    assert all(n["value"] is not None or n["reason"] for n in numbers.values())
    assert "slope.logit_slope" in numbers
    assert summaries.read_summaries([old_run]) == (found, {})
    assert capsys.readouterr().out == ""


def test_a_run_without_predictions_keeps_its_summary_and_is_named(old_run):
    shutil.rmtree(old_run.path / "members")
    before = (old_run.path / "summary.json").read_bytes()
    found, refused = summaries.read_summaries([old_run])
    assert found == {}
    reason = "summary.json has schema 1, not 3, and the run cannot be analysed again: "
    assert refused["digits"].startswith(reason)
    assert len(refused["digits"]) > len(reason)
    assert (old_run.path / "summary.json").read_bytes() == before
