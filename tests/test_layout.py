"""The rooms of the package and who may import whom."""

import ast
import sys

import pytest

from tests import ROOT
from tests.commands import run_process

PACKAGE = ROOT / "bvalign"
MAY_IMPORT = {
    "randomness": set(),
    "provenance": set(),
    "predictions": set(),
    "data": {"randomness", "predictions"},
    "ensemble": {"randomness", "data", "predictions"},
    "analysis": set(),
    "show": {"analysis", "predictions", "provenance"},
    "waves": {"data", "ensemble", "predictions", "show"},
    "training": {"waves", "data", "ensemble", "predictions", "provenance", "show"},
    "cli": {"training", "show"},
}
FILES = [f for f in PACKAGE.rglob("*.py") if f.stem not in ("__init__", "__main__")]


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path):
    here = room(path)
    rooms = {n.split(".")[1] for n in imported(path) if n.startswith("bvalign.")}
    assert rooms - {here} <= MAY_IMPORT[here]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short_and_say_what_they_are_for(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 250


@pytest.mark.parametrize(
    "command",
    [["-c", "import bvalign"]]
    + [["-m", "bvalign", *a, "--help"] for a in ([], ["analyze"], ["report"], ["compare"])],
)
def test_what_is_light_does_not_import_torch(command):
    lister = "import runpy, sys; sys.argv = sys.argv[1:]\n"
    if command[0] == "-m":
        lister += "try: runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        lister += "except SystemExit: pass\n"
    else:
        lister += "exec(sys.argv[0])\n"
    lister += "print('torch' in sys.modules, 'wandb' in sys.modules)"
    out = run_process([sys.executable, "-c", lister, *command[1:]])
    assert out.stdout.strip().endswith("False False"), out.stdout
