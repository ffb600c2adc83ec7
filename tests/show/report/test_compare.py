"""`bvalign compare`: what it writes of several runs, and what it refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from bvalign.show.report import write
from bvalign.show.report.comparison import Report, compare_reports, read_reports
from tests.ensembles import aligned_ensemble, save_npz

HASH = "0123456789abcdef"


def report(folder, *, schema=1, labels=True, fingerprint=HASH, arch="mlp", noise=0.0, rows=200):
    """A report as `bvalign fit` leaves it, with samples on a line of slope one and a half."""
    rng = np.random.default_rng(0)
    bias_sq = 10 ** rng.uniform(-6, -1, rows)
    shift = noise * np.random.default_rng(1).standard_normal(rows)
    variance = bias_sq**1.5 * np.exp(0.3 * rng.standard_normal(rows) + shift)
    mean = {"value": 0.1, "standard_error": 0.01}
    slope = {"value": 1.5, "interval": [1.4, 1.6], "interval_samples": None, "reason": None}
    none = {"value": None, "interval": None, "interval_samples": None, "reason": "few"}
    fits = {
        "ols": {"slope": slope, "intercept": {"value": 0.0}, "samples": rows},
        "cross_half": {"slope": none, "intercept": none, "samples": rows},
    }
    summary = {
        "schema": schema,
        "labels": labels,
        "num_members": 4,
        "num_samples": rows,
        "num_classes": 3,
        "accuracy": 0.9,
        "member_accuracy": {"mean": 0.8},
        "means": {"risk": mean, "bias_sq": mean, "variance": mean},
        "alignment": fits,
        "data": {"name": "toy", "fingerprint": fingerprint},
        "identity": {"model.arch": arch, "model.lr": 0.1},
        "provenance": {"commit": "abc"},
        "versions": {"bvalign": "0"},
    }
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    columns = [np.arange(rows), np.arange(rows) % 3, np.ones(rows), bias_sq, variance]
    lines = [",".join(repr(float(v)) for v in row) for row in zip(*columns, strict=True)]
    (folder / "samples.csv").write_text(
        "\n".join(["index,label,correct,bias_sq,variance", *lines, ""])
    )
    return folder


def test_runs_of_the_same_data_are_compared_sample_by_sample():
    folders = [
        report("a/run"),
        report("b/run", arch="cnn", noise=2.0),
        report("c", fingerprint=None),
    ]
    reports = read_reports(folders)
    found = compare_reports(reports)
    assert [run["run"] for run in found["runs"]] == ["a/run", "b/run", f"{Path.cwd().name}/c"]
    assert found["differs"] == {
        "model.arch": {"a/run": "mlp", "b/run": "cnn", f"{Path.cwd().name}/c": "mlp"}
    }
    (pair,) = found["pairs"]
    assert pair["runs"] == ["a/run", "b/run"]
    assert pair["bias_sq_rank_correlation"] == pytest.approx(1)
    variances = [r.samples["variance"] for r in reports[:2]]
    assert pair["variance_rank_correlation"] == pytest.approx(spearmanr(*variances).statistic)
    assert 0 <= pair["off_line_overlap"] < 1
    same = compare_reports([reports[0], reports[0]._replace(name="again")])
    assert same["pairs"][0]["off_line_overlap"] == 1
    assert found["runs"][0]["ols_low"] == 1.4
    assert found["runs"][0]["cross_half"] is None


def test_ties_share_their_rank():
    a, b = read_reports([report("a"), report("b", noise=1.0)])
    rounded = [
        r._replace(samples=r.samples | {"bias_sq": r.samples["variance"].round(3)}) for r in (a, b)
    ]
    (pair,) = compare_reports(rounded)["pairs"]
    expected = spearmanr(*(r.samples["bias_sq"] for r in rounded)).statistic
    assert pair["bias_sq_rank_correlation"] == pytest.approx(expected)
    flat = a._replace(samples=a.samples | {"bias_sq": np.ones(200)})
    assert compare_reports([flat, b])["pairs"][0]["bias_sq_rank_correlation"] is None


def test_other_samples_of_the_same_data_are_not_matched():
    a, b = read_reports([report("a"), report("b")])
    moved = Report("b", b.summary, b.samples | {"index": b.samples["index"] + 1})
    assert compare_reports([a, moved])["pairs"] == []


def test_the_command_writes_page_table_and_figures(bvalign, monkeypatch, capsys):
    with monkeypatch.context() as analyses:
        analyses.setattr(write, "save_figure", lambda *_, **__: b"")
        for name, samples in (("one", 120), ("two", 90)):
            logits, target = aligned_ensemble(members=6, samples=samples)
            save_npz(Path("p.npz"), logits.float(), target)
            bvalign("analyze", "p.npz", "--out", name)
    bvalign("compare", "one", "two", "--out", "out/both", "--pdf")
    assert capsys.readouterr().out.endswith("comparison of 2 runs: out/both/compare.html\n")
    page = Path("out/both/compare.html").read_text()
    assert "No two runs have the same data fingerprint" in page
    assert '<th scope="row">two</th>' in page
    with Path("out/both/compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads(Path("out/both/compare.json").read_text())
    for row, run in zip(rows, found["runs"], strict=True):
        assert float(row["cross_half"]) == run["cross_half"]
        summary = json.loads((Path(run["run"]) / "summary.json").read_text())
        slope = summary["alignment"]["cross_half"]["slope"]
        assert run["cross_half"] == slope["value"]
        assert run["variance"] == summary["means"]["variance"]["value"]
    figures = {f"{name}.{kind}" for name in ("alignment", "slopes") for kind in ("png", "pdf")}
    assert {f.name for f in Path("out/both/figures").iterdir()} == figures


def damaged(folder, name, text):
    folder = report(folder)
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("at least two different runs, got a", lambda: ["a"]),
        ("at least two different runs, got a, run, a", lambda: ["a", "run", "./a"]),
        ("`bvalign analyze PREDICTIONS --out empty` writes them", lambda: ["a", "empty"]),
        ("`bvalign report run` writes them", lambda: ["a", "run"]),
        ("schema must be 1, got 7", lambda: ["a", report("b", schema=7)]),
        ("report without labels", lambda: ["a", report("b", labels=False)]),
        ("summary.json: damaged", lambda: ["a", damaged("b", "summary.json", "{")]),
        ("samples.csv: damaged", lambda: ["a", damaged("b", "samples.csv", "index\n1\n")]),
    ],
)
def test_what_cannot_be_compared_is_one_line(bvalign, message, make):
    report("a")
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    with pytest.raises(SystemExit) as stopped:
        bvalign("compare", *make(), "--out", "out")
    assert message in str(stopped.value)
    assert str(stopped.value).count("\n") == 0
    assert not Path("out").exists()
