"""The notebooks run from a clean kernel, and are kept with the outputs that they give."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.slow import mostly_slow

FOLDER = ROOT / "examples"
NOTEBOOKS = ("images", "texts", "scikit-learn", "language-models")
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
MOST_BYTES = 400_000


def cells(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def stored(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def source(cell):
    return "".join(cell["source"])


def printed(cell):
    """What a cell printed or showed as text; nothing of logs and of addresses of objects."""
    texts = []
    for output in cell["outputs"]:
        shown = output.get("data", {})
        if output.get("name") == "stdout" or "text/plain" in shown:
            texts += output.get("text", "") or shown["text/plain"]
    return "".join(texts)


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


def test_all_notebooks_are_listed():
    assert {file.stem for file in FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)
    listed = (FOLDER / "README.md").read_text()
    assert [name for name in NOTEBOOKS if f"({name}.ipynb)" in listed] == list(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_short_and_kept_with_its_outputs(name):
    notebook = stored(name)
    assert (FOLDER / f"{name}.ipynb").stat().st_size <= MOST_BYTES
    assert 10 <= len(notebook["cells"]) <= 15
    assert "You learn" in source(notebook["cells"][0])
    code = cells(notebook, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
    assert sum(map(pictures, code)) >= 2
    outputs = "".join(output for cell in code for output in printed(cell))
    assert "/tmp/" not in outputs + "".join(map(source, code))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_findings_are_numbers_that_it_prints(name):
    notebook = stored(name)
    (said,) = [cell for cell in cells(notebook, "markdown") if "**Findings.**" in source(cell)]
    shown = set(NUMBER.findall("".join(map(printed, cells(notebook, "code")))))
    shown |= {f"{100 * float(number.replace(',', '')):.1f}" for number in shown if "." in number}
    shown |= set(map(str, range(20)))  # counts in words of the notebook's own
    assert set(NUMBER.findall(source(said))) <= shown | {"95"}


@pytest.mark.parametrize("name", mostly_slow(NOTEBOOKS, quick=()))
def test_it_runs_from_a_clean_kernel_and_prints_the_same(name, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    old = stored(name)
    new = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    NotebookClient(new, timeout=240, resources={"metadata": {"path": tmp_path}}).execute()
    for before, after in zip(cells(old, "code"), cells(new, "code"), strict=True):
        told = f"`jupyter execute --inplace examples/{name}.ipynb` keeps what it prints now"
        assert NUMBER.sub("", printed(before)) == NUMBER.sub("", printed(after)), told
        numbers = [
            [float(number.replace(",", "")) for number in NUMBER.findall(printed(cell))]
            for cell in (before, after)
        ]
        assert numbers[1] == pytest.approx(numbers[0], rel=0.02, abs=1e-6), told
        assert pictures(before) == pictures(after)
