"""The rooms and corners of the package, who may import whom, and how long anything may be."""

import ast
import json
import sys
from graphlib import TopologicalSorter

import pytest

from tests import ROOT
from tests.copies import writable_copy
from tests.processes import TINY, run_process

PACKAGE = ROOT / "bvalign"
ROOMS = {
    "moved": set(),
    "randomness": set(),
    "float32": set(),
    "float64": set(),
    "provenance": {"float32"},
    "quick_imports": set(),
    "atomic": set(),
    "plain_text": set(),
    "memory": set(),
    "top_k": set(),
    "predictions": {"atomic", "plain_text", "top_k"},
    "data": {"randomness", "predictions"},
    "ensemble": {"float32", "float64", "randomness", "data", "predictions"},
    "analysis": {"atomic", "memory", "top_k"},
    "decisions": {"analysis", "memory", "predictions"},
    "show": {"analysis", "decisions", "float64", "predictions", "provenance", "atomic"},
    "commands": {
        *("analysis", "atomic", "data", "decisions", "ensemble", "float64", "memory"),
        *("predictions", "provenance", "show", "top_k"),
    },
    "cli": {"atomic", "commands", "decisions", "plain_text", "quick_imports"},
}
"""Room -> rooms that it may import."""

CORNERS = {
    "analysis.decompositions": set(),
    "analysis.intervals": {"analysis.decompositions"},
    "analysis.groups": {"analysis.decompositions", "analysis.intervals"},
    "analysis.calibration": {"analysis.decompositions", "analysis.groups", "analysis.intervals"},
    "analysis.sizes": {
        *("analysis.decompositions", "analysis.groups", "analysis.intervals"),
        "analysis.calibration",
    },
    "analysis.slopes": {
        *("analysis.decompositions", "analysis.groups", "analysis.intervals", "analysis.sizes"),
    },
    "analysis.collapse": {"analysis.decompositions", "analysis.slopes"},
    "analysis.top_k": {"analysis.decompositions", "analysis.groups"},
    "decisions.without_labels": set(),
    "predictions.scores": set(),
    "predictions.tables": {"predictions.scores"},
    "predictions.evaluations": {"predictions.scores", "predictions.tables"},
    "predictions.checks": {"predictions.scores"},
    "predictions.readers": {
        *(f"predictions.{corner}" for corner in ("scores", "tables", "evaluations", "checks"))
    },
    "predictions.run": {"predictions.scores"},
    "decisions.systematic": set(),
    "ensemble.triton_conv": set(),
    "decisions.abstain": set(),
    "decisions.answers": set(),
    "decisions.calibrate": set(),
    "show.figures": set(),
    "show.loggers": {"show.figures"},
    "show.callbacks": {"show.figures", "show.loggers"},
    "show.report": {"show.figures"},
}
"""Corner -> corners of its room that it may import; what lies beside them may import all."""

UNUSED = {"timm", "wandb", "transformers", "tensorboard", "requests"}
"""Modules that a plain fit leaves out. Lightning imports torchvision, which nobody can prevent, and
scikit-learn pandas where that is installed, with pyarrow."""
HEAVY = UNUSED | {"pandas", "lightning", "torchvision", "torchmetrics", "sklearn", "jsonargparse"}
HEAVY |= {"torch._dynamo", "triton", "matplotlib.pyplot", "scipy.stats", "scipy.optimize"}
"""Modules that commands leave out which train nothing."""

RUN_AND_TELL = """
import gc, json, multiprocessing, sys, threading
from bvalign.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["bvalign", *words]
    main()
left = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
print()
print(json.dumps({
    "modules": list(sys.modules),
    "left": left + [child.name for child in multiprocessing.active_children()],
    "frozen": gc.get_freeze_count(),
    "collects": gc.isenabled(),
}))
"""
"""Runs commands one after another and tells what they have imported and what they leave behind."""

FILES = sorted(f for f in PACKAGE.rglob("*.py") if f.stem != "__main__")


def names(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported(path):
    """Modules of the package that a file imports, anywhere in it, without `bvalign`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            if module.startswith("bvalign."):
                yield module.split(".")[1:]


@pytest.mark.parametrize("path", FILES, ids=lambda p: ".".join(names(p)))
def test_a_file_imports_only_what_its_room_and_corner_may(path):
    room, *rest = names(path)
    if room == "__init__":
        assert {module[0] for module in imported(path)} <= {"moved"}
        return
    others = {module[0] for module in imported(path)} - {room, "__version__"}
    assert others <= ROOMS[room]
    corner = f"{room}.{rest[0]}" if len(rest) > 1 else None
    if corner:
        own = {".".join(module[:2]) for module in imported(path) if module[0] == room} - {corner}
        beside = {name for name in own if name not in CORNERS and (PACKAGE / room).is_dir()}
        assert own - beside <= CORNERS[corner]


def test_every_arrow_between_corners_is_used():
    used = {name: set() for name in CORNERS}
    for path in FILES:
        room, *rest = names(path)
        corner = f"{room}.{rest[0]}" if len(rest) > 1 else None
        if corner in CORNERS:
            used[corner] |= {".".join(module[:2]) for module in imported(path)}
    assert {
        name: arrows - used[name] for name, arrows in CORNERS.items() if arrows - used[name]
    } == {}


def test_the_arrows_have_no_circle():
    for arrows in (ROOMS, CORNERS):
        assert list(TopologicalSorter(arrows).static_order())
    modules = {".".join(names(path)): path for path in FILES if path.stem != "__init__"}
    arrows = {
        name: {".".join(module) for module in imported(path)} & modules.keys() - {name}
        for name, path in modules.items()
    }
    assert list(TopologicalSorter(arrows).static_order())


@pytest.mark.parametrize("path", FILES, ids=lambda p: ".".join(names(p)))
def test_files_and_functions_are_short_and_files_say_what_they_are_for(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert text.count("\n") <= 250
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            documented = node.body[0].end_lineno - node.body[0].lineno + 1
            length = node.end_lineno - node.lineno + 1
            length -= documented if ast.get_docstring(node) else 0
            assert length <= 50, f"{node.name} has {length} lines"


@pytest.mark.parametrize(
    "command",
    [["-c", "import bvalign"]]
    + [
        ["-m", "bvalign", *a, "--help"]
        for a in ([], ["analyze"], ["report"], ["apply"], ["compare"], ["figures"])
    ],
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


def what_is_left(*commands):
    told = run_process([sys.executable, "-c", RUN_AND_TELL, json.dumps(commands)])
    assert "leak" not in told.stderr  # triton complains where its objects are frozen
    left = json.loads(told.stdout.splitlines()[-1])
    assert left["left"] == []
    assert left["collects"]
    assert left["frozen"] > 100_000  # what torch brings, before anything else is imported
    return left


def test_what_trains_nothing_imports_little_and_leaves_nothing_running():
    inputs = ROOT / "tests" / "golden" / "inputs"
    run = str(writable_copy(inputs / "digits", "run"))
    left = what_is_left(
        ["analyze", str(inputs / "labelled.npz"), "--out", "a"],
        ["report", run],
        ["apply", "a/abstain.json", str(inputs / "labelled.npz"), "--out", "accepted.csv"],
        ["compare", "a", run, "--out", "both"],
    )
    assert not HEAVY & set(left["modules"])


def test_a_fit_imports_what_it_uses_and_leaves_nothing_running():
    left = what_is_left(["fit", *TINY, "--model.members=2", "--trainer.logger=false"])
    assert "lightning" in left["modules"]
    assert not UNUSED & set(left["modules"])
