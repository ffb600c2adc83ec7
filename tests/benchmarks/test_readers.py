"""The benchmark of readers on a small ensemble."""

import importlib.util

import pytest

from bvalign import open_predictions
from tests import ROOT


def load():
    spec = importlib.util.spec_from_file_location("readers_run", ROOT / "benchmarks/readers/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_format_is_made_and_measured(tmp_path, monkeypatch):
    pytest.importorskip("zarr")
    run = load()
    monkeypatch.setattr(run, "SHAPE", (2, 6, 3))
    monkeypatch.setattr(run, "measure", lambda code, path: (1.0 + ("bvalign" in code), 3.0))
    paths = run.make(tmp_path)
    assert all(run.size(path) for path in paths.values())
    rows = run.compare(paths, 1, lambda what: None)
    assert [(row["format"], row["ratio"]) for row in rows] == [(name, 2.0) for name in run.PLAIN]
    rows = [row | {"commit": "y"} for row in rows]
    table = run.markdown(rows, {"device": "x", "threads": 2})
    assert table.count("missed") == len(rows)
    for path in paths.values():
        assert len(open_predictions(path)[0].members) == 2
