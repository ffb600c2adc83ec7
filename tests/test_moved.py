"""Module paths of earlier versions lead to the modules of today, and stand in one table alone."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from bvalign.moved import MOVED
from tests import ROOT


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_the_very_module_of_the_new_one(old, new):
    assert import_module(old) is import_module(new)
    assert import_module(new).__spec__.name == new


def test_a_callback_of_an_old_name_is_taken_from_the_command_line(fit):
    fit(
        "--model.members=2",
        "--trainer.callbacks+=bvalign.show.collapse_monitor.NeuralCollapseMonitor",
    )
    assert Path("runs/digits-mlp/collapse.csv").exists()


def test_no_other_file_has_an_old_name():
    names = re.compile("|".join(rf"{re.escape(old)}\b(?!\.py)" for old in MOVED))
    sources = [*ROOT.glob("bvalign/**/*.py"), *ROOT.glob("experiments/**/*.py")]
    sources += [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/**/*.yaml")]
    sources += [
        *ROOT.glob("configs/**/*.yaml"),
        *ROOT.glob("configs/*.sbatch"),
        *ROOT.glob("benchmarks/**/*.py"),
    ]
    here = ROOT / "bvalign" / "moved.py"
    assert [path for path in sources if path != here and names.search(path.read_text())] == []
