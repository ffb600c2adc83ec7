"""How often the intervals of the budget hold what was put in: the simulation and its file."""

import json
import sys

import numpy as np
import pytest

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import budget_coverage


def test_parts_that_are_not_put_in_are_zero():
    known = budget_coverage.truths(0.0, 0.0)
    for part in ("growth", "temperature", "rest"):
        assert known[part] == pytest.approx((0, 0), abs=1e-12)
    assert known["base"][0] == pytest.approx(1, abs=0.01)
    # two classes, log odds N(-mu, s²) far from zero: variance over bias² is exp(s²) - 1
    s = budget_coverage.CONSTANT
    assert known["base"][1] == pytest.approx(np.log(np.exp(s * s) - 1), abs=0.05)


@pytest.mark.slow
def test_coverage_counts_the_intervals_that_hold_the_truth(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(budget_coverage, "SAMPLES", 320)
    for name, values in (("MEMBERS", (6,)), ("GROWTHS", (0.0,)), ("SCALES", (0.05,))):
        monkeypatch.setattr(budget_coverage, name, values)
    out = tmp_path / "coverage.json"
    monkeypatch.setattr(sys, "argv", ["budget_coverage.py", "--draws", "2", "--out", str(out)])
    budget_coverage.main()
    (cell,) = json.loads(out.read_text())["cells"]
    assert (cell["members"], cell["scale"], cell["draws"]) == (6, 0.05, 2)
    for number in ("slope", "offset"):
        assert set(cell[number]) == set(budget_coverage.PARTS)
        for part in cell[number].values():
            assert part["coverage"] in (0, 0.5, 1)
            assert part["half_width"] > 0
            assert abs(part["bias"]) < 1
    assert "6 0.0 0.05" in capsys.readouterr().out
