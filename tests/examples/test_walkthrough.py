"""The walkthrough notebook runs and is kept with small outputs."""

import json
import subprocess

import pytest

from tests import ROOT

PATH = ROOT / "examples" / "walkthrough.ipynb"
CELLS = json.loads(PATH.read_text())["cells"]
SMALL = ("--data.num_train=200", "--model.width=8", "--model.plan=sequential")
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_every_cell_runs(bvalign, capsys, monkeypatch):
    run = subprocess.run

    def fit(command, **options):
        """`bvalign` in this process, with small networks and a plan that needs no timing."""
        if command[1:3] != ["-m", "bvalign"]:
            return run(command, **options)
        bvalign(*command[3:], *SMALL)
        return subprocess.CompletedProcess(command, 0, stdout=capsys.readouterr().out)

    monkeypatch.setattr(subprocess, "run", fit)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {}
    for number, cell in enumerate(CODE):
        lines = [line for line in cell["source"] if not line.startswith("%")]  # Jupyter's own
        exec(compile("".join(lines), f"cell {number}", "exec"), names)
    assert "slope of the population: " in capsys.readouterr().out
    assert len(names["figures"]) >= 7
    assert names["figure"].axes
    assert names["curves"].values["train_loss"].shape == (8, 8)


def test_it_is_kept_with_small_outputs_and_says_so():
    assert PATH.stat().st_size <= 500_000
    assert "kept with its outputs" in "".join(CELLS[0]["source"])
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
    counts = [cell["execution_count"] for cell in CODE]
    assert counts == list(range(1, len(CODE) + 1))
