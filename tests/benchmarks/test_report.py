"""The benchmark of reports on a small one."""

import importlib.util

from tests import ROOT
from tests.browser import in_chromium


@in_chromium
def test_a_page_is_made_opened_and_judged(tmp_path, monkeypatch):
    path = ROOT / "benchmarks/report/run.py"
    spec = importlib.util.spec_from_file_location("report_run", path)
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    monkeypatch.setattr(run, "FRAMES", 3)
    monkeypatch.setitem(run.GOALS, 60, {"paint": 1000.0, "usable": 0.0})
    pages = {("texts", 60): run.make("texts", 60, tmp_path)}
    done = []
    (row,) = run.measure(pages, 2, done.append)
    assert done == ["texts 60"] * 2
    assert 0 < row["paint_fastest"] <= row["usable_seconds"]
    assert row["mb"] == round(pages["texts", 60].stat().st_size / 1e6, 1)
    assert row["frame_ms"] > 0
    origin = {"device": "x", "cores": 2, "load": 0.5, "commit": "y"}
    assert run.markdown([row], origin).count("missed") == 1
