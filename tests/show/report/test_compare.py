"""`bvalign compare`: what it writes of several runs, and what it refuses."""

import csv
import html
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from scipy.stats import spearmanr, t

from bvalign.analysis.intervals import Spread, estimate, samples_variance
from bvalign.show.report import write
from bvalign.show.report.comparison.comparison import compare_reports
from bvalign.show.report.comparison.stored_reports import Report, read_reports
from bvalign.show.report.summary_json import plain
from tests.ensembles import aligned_ensemble, save_npz

HASH = "0123456789abcdef"
NONE = {"value": None, "interval": None, "interval_samples": None, "reason": "few"}
SEVEN = '{"schema": 7}'
NUMBERS = ("accuracy", "member_accuracy", "risk", "bias_sq", "variance", "slope", "offset")


def report(folder, *, schema=2, noise=0.0, rows=200, cluster=None, **summary):
    """A report as `bvalign fit` leaves it, with samples on a line of slope one and a half."""
    rng = np.random.default_rng(0)
    bias_sq = 10 ** rng.uniform(-6, -1, rows)
    shift = noise * np.random.default_rng(1).standard_normal(rows)
    variance = bias_sq**1.5 * np.exp(0.3 * rng.standard_normal(rows) + shift)
    slope = {"value": 1.5, "interval": [1.4, 1.6], "interval_samples": None, "reason": None}
    alignment = {
        "ols": {"slope": slope, "intercept": {"value": 0.0}, "samples": rows},
        "cross_half": {"slope": NONE, "intercept": NONE, "samples": rows},
    }
    columns = {
        "index": np.arange(rows),
        "label": np.arange(rows) % 3,
        "correct": np.arange(rows) % 10 > 0,
        "bias_sq": bias_sq,
        "variance": variance,
        "risk": bias_sq + variance,
        "bias_sq_unbiased": bias_sq - variance / 3,
        "variance_unbiased": variance * 4 / 3,
        "error_rate": np.arange(rows) % 10 == 0,
    }
    means = {key: float(columns[key].mean()) for key in tuple(columns)[3:]}
    accuracy = 0.9
    number = {k: {"value": v, "standard_error": 0.01} for k, v in means.items()}
    if schema == 2:
        columns |= {
            "slope_influence": 0.2 * rng.standard_normal(rows),
            "offset_influence": shift,
        }
        columns |= {} if cluster is None else {"cluster": cluster}
        members = summary.get("num_members", 4)
        own = None if cluster is None else torch.from_numpy(cluster)

        def found(value, column, **options):
            over = samples_variance(torch.from_numpy(columns[column] * 1.0), own)
            spread = Spread(*over, *((2e-5, 5e-6, members) if members > 2 else ()))
            return plain(estimate(value, spread, **options))

        number = {name: found(value, name) for name, value in means.items()}
        accuracy = found(0.9, "correct", kind="proportion")
        alignment["logit_slope"] = {
            "slope": found(1.2 + noise, "slope_influence"),
            "offset": found(-0.5, "offset_influence"),
            "flags": [],
            "samples": rows,
            "intercept": 0.0,
        }
    content = {
        "schema": schema,
        "labels": True,
        "num_members": 4,
        "num_samples": rows,
        "num_classes": 3,
        "accuracy": accuracy,
        "member_accuracy": {"mean": accuracy},
        "means": number,
        "alignment": alignment,
        "members": list(range(4)),
        "data": {"name": "toy", "fingerprint": HASH},
        "identity": {"model.arch": "mlp", "model.seed": str(folder)},
        "provenance": {"commit": "abc"},
        "versions": {"bvalign": "0"},
    }
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(content | summary))
    lines = [",".join(repr(float(v)) for v in row) for row in zip(*columns.values(), strict=True)]
    (folder / "samples.csv").write_text("\n".join([",".join(columns), *lines, ""]))
    return folder


def two(**second):
    return read_reports([report("a"), report("b", **second)])


def pair_of(*reports):
    (pair,) = compare_reports(reports)["pairs"]
    return pair


def with_samples(stored, **columns):
    return stored._replace(samples=stored.samples | columns)


def test_runs_of_the_same_data_are_compared_sample_by_sample():
    arch = {"model.arch": "cnn", "model.seed": "a/run"}
    other = {"data": {"name": "toy", "fingerprint": "another"}}
    folders = [report("a/run"), report("b/run", identity=arch, noise=2.0), report("c", **other)]
    reports = read_reports(folders)
    found = compare_reports(reports)
    assert [run["run"] for run in found["runs"]] == ["a/run", "b/run", f"{Path.cwd().name}/c"]
    assert found["differs"]["model.arch"] == {
        "a/run": "mlp",
        "b/run": "cnn",
        f"{Path.cwd().name}/c": "mlp",
    }
    (pair,) = found["pairs"]
    assert pair["runs"] == ["a/run", "b/run"]
    assert pair["matched_by"] == "fingerprint"
    assert pair["bias_sq_rank_correlation"] == pytest.approx(1)
    variances = [r.samples["variance"] for r in reports[:2]]
    assert pair["variance_rank_correlation"] == pytest.approx(spearmanr(*variances).statistic)
    assert 0 <= pair["off_line_overlap"] < 1
    same = compare_reports([reports[0], reports[0]._replace(name="again")])
    assert same["pairs"][0]["off_line_overlap"] == 1
    first = found["runs"][0]
    assert (first["ols_low"], first["ols_over"]) == (1.4, "samples and members")
    assert first["cross_half"] is first["cross_half_over"] is None
    assert [pair["reason"] for pair in found["unpaired"]] == [
        "tested on different data: their fingerprints differ"
    ] * 2


def test_a_difference_has_the_variance_of_the_samples_and_of_both_ensembles():
    a, b = two(noise=0.02, num_members=9, members=[*range(9)])
    found = pair_of(a, b)["differences"]
    assert tuple(found) == NUMBERS
    size = len(a.samples["index"])
    for name in ("risk", "variance", "slope", "offset"):
        if name in ("slope", "offset"):
            values = [report.samples[f"{name}_influence"] for report in (a, b)]
            fits = [report.summary["alignment"]["logit_slope"] for report in (a, b)]
            expected = fits[0][name]["value"] - fits[1][name]["value"]
        else:
            column = "variance_unbiased" if name == "variance" else name
            values = [report.samples[column] for report in (a, b)]
            expected = np.mean(values[0] - values[1])
        got = found[name]
        assert got["value"] == pytest.approx(expected, abs=1e-15)
        samples = np.var(values[0] - values[1], ddof=1) / size
        assert got["variance"] == {
            "samples": pytest.approx(samples),
            "members": pytest.approx([1.5e-5, 1.5e-5]),
        }
        low, high = got["interval"]
        freedom = (samples + 3e-5) ** 2 / (
            samples**2 / (size - 1) + 3e-10 / 3 + 3e-10 / 8  # E V_m / (M - 1) of each
        )
        assert (high - low) / 2 == pytest.approx(t.ppf(0.975, freedom) * (samples + 3e-5) ** 0.5)
        assert (low + high) / 2 == pytest.approx(got["value"])
    assert found["accuracy"]["value"] == 0
    assert found["accuracy"]["variance"]["samples"] == 2 / size**2


def test_accuracy_of_a_member_is_paired_by_the_error_rates():
    a, b = two()
    errors = np.random.default_rng(3).integers(0, 5, (2, 200)) / 4
    a, b = (with_samples(r, error_rate=e) for r, e in zip((a, b), errors, strict=True))
    got = pair_of(a, b)["differences"]["member_accuracy"]
    expected = np.var(errors[1] - errors[0], ddof=1) / 200 + 2 / 200**2
    assert got["variance"]["samples"] == pytest.approx(expected)
    assert len(got["variance"]["members"]) == 2


def test_clusters_of_either_report_are_respected():
    fours, shifted = np.arange(200) // 4 + 7, (np.arange(200) + 2) // 4
    a, b, crossed = read_reports(
        [report("a", cluster=fours), report("b", noise=0.3), report("c", cluster=shifted)]
    )
    found = pair_of(a, b)
    assert found["clusters"] == 50
    assert found["notes"] == ["200 samples in 50 clusters, which count as drawn at random"]
    difference = a.samples["risk"] - b.samples["risk"]
    sums = (difference - difference.mean()).reshape(-1, 4).sum(axis=1)
    expected = (sums**2).sum() / 200**2 * 50 / 49
    variance = found["differences"]["risk"]["variance"]["samples"]
    assert variance == pytest.approx(expected, rel=1e-9)
    assert variance != pytest.approx(np.var(difference, ddof=1) / 200, rel=1e-3)
    turned = pair_of(b, a)["differences"]["risk"]
    assert turned["variance"]["samples"] == pytest.approx(variance)
    joined = pair_of(a, crossed)  # every cluster of one overlaps two of the other
    assert joined["clusters"] == 1
    assert joined["differences"]["risk"]["interval_samples"] is None
    assert joined["differences"]["risk"]["sentence"] == (
        "No interval: one independent sample has no variance."
    )


def test_two_members_leave_an_interval_over_samples_alone():
    reports = two(noise=0.02, num_members=2)
    pair = pair_of(*reports)
    found = pair["differences"]["variance"]
    assert found["interval"] is None
    assert found["variance"]["members"] is None
    assert found["reason"] == (
        "b: over samples alone: an interval over members needs three of them"
    )
    assert "over samples alone" in found["sentence"]
    assert pair["notes"][0].startswith("accuracy is that of the mean of 4 and of 2 members")


def test_members_in_common_leave_an_interval_over_samples_alone():
    same = {"model.arch": "mlp", "model.seed": 0}
    reports = read_reports([report("a", identity=same), report("b", identity=same)])
    pair = pair_of(*reports)
    assert pair["differences"]["risk"]["interval"] is None
    assert pair["differences"]["risk"]["reason"] == (
        "over samples alone: the two have members in common"
    )
    others = reports[1]._replace(summary=reports[1].summary | {"members": [4, 5, 6, 7]})
    assert pair_of(reports[0], others)["differences"]["risk"]["interval"] is not None
    foreign = [r._replace(summary=r.summary | {"identity": {}}) for r in reports]
    assert pair_of(*foreign)["differences"]["risk"]["interval"] is not None


def test_a_flag_of_either_run_is_repeated():
    a, b = two()
    flagged = b.summary["alignment"]["logit_slope"] | {"flags": ["heavy_tails"]}
    alignment = b.summary["alignment"] | {"logit_slope": flagged}
    found = pair_of(a, b._replace(summary=b.summary | {"alignment": alignment}))["differences"]
    for name in NUMBERS:
        expected = ["b: heavy_tails"] if name in ("slope", "offset") else []
        assert found[name]["flags"] == expected
        assert ("Do not quote the difference (b: heavy_tails)." in found[name]["sentence"]) == bool(
            expected
        )


def test_an_old_report_is_compared_by_what_it_has():
    reports = two(schema=1, noise=0.02)
    found = compare_reports(reports)
    old = found["runs"][1]
    assert old["risk_over"] == old["accuracy_over"] == "samples"
    assert old["risk_high"] - old["risk"] == pytest.approx(0.01 * 1.972, rel=1e-3)
    assert old["slope"] is None
    assert old["cross_half"] is None
    (pair,) = found["pairs"]
    for name in ("slope", "offset"):
        assert pair["differences"][name]["value"] is None
        assert pair["differences"][name]["reason"] == (
            "b: a report of schema 1, which lacks it; write the report again"
        )
    risk = pair["differences"]["risk"]
    assert risk["interval"] is None
    assert risk["interval_samples"] is not None
    assert risk["reason"].startswith("b: over samples alone: a report of schema 1")


def test_without_a_fingerprint_index_and_labels_decide():
    unknown = {"data": {"name": "mine.npz", "fingerprint": None}}
    a, b = two(**unknown)
    assert pair_of(a, b)["matched_by"] == "index and labels"
    ordered = np.sort(a.samples["label"])
    found = compare_reports([with_samples(a, label=ordered), with_samples(b, label=ordered)])
    assert found["pairs"] == []
    assert "labels that are sorted agree by accident" in found["unpaired"][0]["reason"]


def test_ties_share_their_rank():
    a, b = two(noise=1.0)
    rounded = [with_samples(r, bias_sq=r.samples["variance"].round(3)) for r in (a, b)]
    expected = spearmanr(*(r.samples["bias_sq"] for r in rounded)).statistic
    assert pair_of(*rounded)["bias_sq_rank_correlation"] == pytest.approx(expected)
    flat = with_samples(a, bias_sq=np.ones(200))
    assert pair_of(flat, b)["bias_sq_rank_correlation"] is None


def test_other_samples_of_the_same_data_are_not_matched():
    a, b = two()
    moved = Report("b", b.summary, b.samples | {"index": b.samples["index"] + 1})
    found = compare_reports([a, moved])
    assert found["pairs"] == []
    assert found["unpaired"] == [
        {
            "runs": ["a", "b"],
            "reason": "tested on different samples: their index or labels differ",
        }
    ]


def test_the_command_writes_page_table_and_figures(bvalign, monkeypatch, capsys):
    with monkeypatch.context() as analyses:
        analyses.setattr(write, "svg", lambda *_: "")
        for name, samples, sigma in (("one", 120, 1.0), ("two", 90, 1.0), ("three", 120, 1.2)):
            logits, target = aligned_ensemble(members=6, samples=samples, sigma=sigma)
            save_npz(Path("p.npz"), logits.float(), target)
            bvalign("analyze", "p.npz", "--out", name)
    bvalign("compare", "one", "two", "three", "--out", "out/all")
    assert capsys.readouterr().out.endswith("comparison of 3 runs: out/all/compare.html\n")
    page = html.unescape(Path("out/all/compare.html").read_text())
    assert "No difference: tested on different samples: their index or labels differ" in page
    assert "one and two" in page
    for run in ("one", "two", "three"):
        assert f'<a href="../../{run}/report.html">' in page
    with Path("out/all/compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads(Path("out/all/compare.json").read_text())
    for row, run in zip(rows, found["runs"], strict=True):
        assert float(row["slope_low"]) == run["slope_low"]
        summary = json.loads((Path(run["run"]) / "summary.json").read_text())
        slope = summary["alignment"]["logit_slope"]["slope"]
        assert [run["slope"], run["slope_low"], run["slope_high"]] == [
            slope["value"],
            *slope["interval"],
        ]
        assert run["variance"] == summary["means"]["variance"]["value"]
    (pair,) = found["pairs"]
    for name, difference in pair["differences"].items():
        a, b = (run[name] for run in (found["runs"][0], found["runs"][2]))
        if name in ("bias_sq", "variance"):  # unbiased, where the table has those of M members
            read = (json.loads(Path(run, "summary.json").read_text()) for run in pair["runs"])
            a, b = (summary["means"][f"{name}_unbiased"]["value"] for summary in read)
        assert difference["value"] == pytest.approx(a - b, abs=1e-12)
        assert difference["interval"][0] <= difference["value"] <= difference["interval"][1]
        assert difference["apart"] or difference["sentence"] in page


def test_names_of_samples_do_not_matter(tmp_path):
    report(tmp_path / "a")
    report(tmp_path / "b")
    lines = (tmp_path / "a/samples.csv").read_text().splitlines()
    named = [line.replace(",", f',"{n}, #{n}",', 1) for n, line in enumerate(lines[1:])]
    header = lines[0].replace(",", ",sample,", 1)
    (tmp_path / "a/samples.csv").write_text("\n".join([header, *named]) + "\n")
    named, plain = read_reports([tmp_path / "a", tmp_path / "b"])
    for name, column in plain.samples.items():
        np.testing.assert_array_equal(named.samples[name], column)


@pytest.mark.usefixtures("without_figures")
def test_either_file_of_samples_gives_the_same_numbers(bvalign):
    for seed, name in enumerate("ab"):
        logits, target = aligned_ensemble(members=4, samples=60, seed=seed)
        save_npz(Path(f"{name}.npz"), logits, target)
        bvalign("analyze", f"{name}.npz", "--out", name)
    folders = [Path("a"), Path("b")]
    columnar = read_reports(folders)
    for folder in folders:
        (folder / "samples.parquet").unlink()
    text = read_reports(folders)
    for found, expected in zip(columnar, text, strict=True):
        assert list(found.samples) == list(expected.samples)
        for name, column in expected.samples.items():
            assert found.samples[name].dtype == column.dtype
            np.testing.assert_array_equal(found.samples[name], column)
    assert compare_reports(columnar) == compare_reports(text)


def without(column):
    """A report whose parquet lacks a column."""
    folder = report("b")
    parquet.write_table(
        arrow_csv.read_csv(folder / "samples.csv").drop(column), folder / "samples.parquet"
    )
    return folder


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
        (
            "schema must be one of (1, 2, 3), got 7",
            lambda: ["a", damaged("b", "summary.json", SEVEN)],
        ),
        ("report without labels", lambda: ["a", report("b", labels=False)]),
        ("summary.json: damaged", lambda: ["a", damaged("b", "summary.json", "{")]),
        ("samples.csv: damaged", lambda: ["a", damaged("b", "samples.csv", "index\n1\n")]),
        ("samples.parquet: damaged", lambda: ["a", damaged("b", "samples.parquet", "PAR1")]),
        ("samples.parquet: damaged (no column risk)", lambda: ["a", without("risk")]),
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
