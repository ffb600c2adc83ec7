"""The experiments: every study can be run, a tiny one is, and answers hold no typed numbers."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions.squared_loss import decompose, moments
from tests import ROOT
from tests.ensembles import random_ensemble

EXPERIMENTS = ROOT / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "lab"))

import claim_tables  # noqa: E402
import extras  # noqa: E402
import measures  # noqa: E402
import run  # noqa: E402
import study  # noqa: E402


@pytest.mark.parametrize("question", study.questions())
def test_runs_of_the_committed_results_are_still_those_of_the_study(question):
    file = study.STUDIES / question / "results-small.json"
    stored = json.loads(file.read_text())["runs"]
    runs = study.runs_of(study.read_study(question), "small", Path("runs"))
    assert [one.name for one in runs] == list(stored)
    for one in runs:
        source, options = (stored[one.name][key] for key in (one.kind, "options"))
        assert one._replace(source=source, options=options).path == one.path


def everything():
    return [(q, size) for q in study.questions() for size in study.read_study(q)["sizes"]]


def test_every_question_of_the_paper_has_a_study():
    names = "alignment architectures calibration collapse losses mechanism randomness"
    assert study.questions() == [*names.split(), "sensitivity", "shared_start", "size", "text"]
    claims = {c["claim"] for q in study.questions() for c in study.read_study(q)["claims"]}
    assert claims == {*(f"C{number}" for number in range(1, 11)), "new"}
    with pytest.raises(ValueError, match="no question 'luck'; there are alignment, arch"):
        study.read_study("luck")
    with pytest.raises(ValueError, match="no size 'huge'; there are smoke, small, paper"):
        study.runs_of(study.read_study("size"), "huge", Path())


@pytest.mark.parametrize("question", study.questions())
def test_studies_name_only_what_there_is(question):
    content = study.read_study(question)
    names = [r.name for size in content["sizes"] for r in study.runs_of(content, size, Path())]
    for claim in content["claims"]:
        assert claim["within"][0] < claim["within"][1]
        for pair in claim.get("compare", []):
            assert set(pair) <= set(names)
        if claim["number"] == "slope.logit_slope":
            assert claim["beside"] == "offset.logit_slope"
    assert set(content.get("extras", [])) <= set(extras.EXTRAS)
    assert set(content["figures"].get("scatter", [])) <= set(names)
    shown = content["figures"]["numbers"]
    assert ("slope.logit_slope" in shown) == ("offset.logit_slope" in shown)
    for size in content["sizes"]:
        runs = study.runs_of(content, size, Path("runs"))
        assert len({r.path for r in runs}) == len({r.name for r in runs}) == len(runs)


@pytest.mark.slow
def test_every_kind_of_run_is_accepted_by_fit(bvalign, capsys):
    seen = set()
    for question, size in everything():
        for one in study.runs_of(study.read_study(question), size, Path("runs")):
            kind = (one.source, frozenset(one.options))
            if one.kind == "config" and kind not in seen:
                seen.add(kind)
                with pytest.raises(SystemExit) as stopped:
                    bvalign(*one.arguments, "--print_config")
                assert stopped.value.code == 0, one
    assert "default_root_dir: runs/" in capsys.readouterr().out


def test_a_question_is_answered_and_resumed(capsys, without_figures):
    root, out = Path("runs"), Path("out/losses")
    results = run.answer("losses", "smoke", root, out, workers=1)
    assert results == json.loads((out / "results-smoke.json").read_text())
    assert set(results["runs"]) == {"digits-cross_entropy", "digits-squared_error"}
    for about in results["runs"].values():
        assert about["seconds"] > 0
        assert about["num_members"] == 6
    losses = [about["identity"]["model.loss"] for about in results["runs"].values()]
    assert losses == ["cross_entropy", "squared_error"]
    assert results["hardware"]["cores"] >= 1
    assert results["versions"]["torch"]
    assert len(results["sentences"]) == 4
    assert (out / "numbers-smoke.png").stat().st_size > 5000
    assert "2 runs, 2 to make" in capsys.readouterr().out

    again = run.answer("losses", "smoke", root, out, workers=1)
    assert "2 runs, 0 to make" in capsys.readouterr().out
    assert again["numbers"] == results["numbers"]
    assert again["verdicts"] == results["verdicts"]

    # what every run has, measured from files only, is what the summary says
    path = next(root.glob("smoke/digits-cross_entropy-*"))
    summary = json.loads((path / "summary.json").read_text())
    numbers = results["numbers"]["digits-cross_entropy"]
    assert numbers["slope.ols"]["value"] == summary["alignment"]["ols"]["slope"]["value"]
    fit = measures.resampled_line(*_correct(measures.read_samples(path)))
    assert float(fit["slope"][0]) == pytest.approx(numbers["slope.ols"]["value"], rel=1e-9)
    lost = numbers["r_squared.ols"]["value"] - numbers["kl.r_squared"]["value"]
    assert numbers["r_squared.lost"]["value"] == pytest.approx(lost, rel=1e-6)

    # a run whose summary is of before and that cannot be analysed again is named
    old = next(root.glob("smoke/digits-squared_error-*"))
    (old / "summary.json").write_text('{"schema": 1, "alignment": {"ols": {}}}')
    shutil.rmtree(old / "members")
    later = run.answer("losses", "smoke", root, out, workers=1)
    assert "2 runs, 0 to make" in capsys.readouterr().out
    assert later["numbers"] == {"digits-cross_entropy": numbers}
    missing = later["runs"]["digits-squared_error"]["missing"]
    assert missing.startswith("summary.json has schema 1, not 3, and the run cannot be analysed")


def _correct(samples):
    right = samples["correct"] == 1
    return [torch.from_numpy(samples[name][right]) for name in ("bias_sq", "variance")]


@pytest.mark.parametrize("code", ["\nbvalign: interrupted. 0 of 6 members are finished", 75])
def test_what_is_interrupted_stops_all_and_its_time_counts(monkeypatch, code):
    content = study.read_study("losses")
    first, second = study.runs_of(content, "smoke", Path("runs"))

    def interrupted():
        raise SystemExit(code)

    monkeypatch.setattr("bvalign.cli.main", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.obtain_all([first, second], workers=1)
    assert first.cost["failed"] == "interrupted"
    assert not first.finished
    assert not (second.path / "cost.json").exists()


def test_a_run_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("BVALIGN_DATA", str(tmp_path / "empty"))
    from bvalign.data import TREC

    monkeypatch.setattr(TREC, "download", _no_network)
    results = run.answer("text", "smoke", Path("runs"), Path("out"), workers=1)
    assert "no data in" in results["runs"]["trec-transformer"]["missing"]
    assert {found["verdict"] for found in results["verdicts"]} == {"open"}
    assert "failed: bvalign: error: trec: no data" in capsys.readouterr().out
    assert "- text (smoke): without trec-transformer: " in "\n".join(claim_tables._missing(results))


def _no_network(self):
    raise OSError("no network")


def fake_run(path, samples, fingerprint="f"):
    """What extras read of a run."""
    path.mkdir(parents=True)
    lines = [
        ",".join(samples),
        *(",".join(map(str, row)) for row in zip(*samples.values(), strict=True)),
    ]
    (path / "samples.csv").write_text("\n".join(lines) + "\n")
    return path, {"data": {"fingerprint": fingerprint}}


def test_off_line_samples_are_compared_on_the_same_data_only(tmp_path):
    rng = np.random.default_rng(0)
    bias_sq = np.exp(rng.uniform(-12, -2, 500))
    own, shared = rng.standard_normal((3, 500)), rng.standard_normal(500)
    noise = {"a": shared + 0.5 * own[0], "b": shared + 0.5 * own[1], "c": own[2], "d": shared}
    runs, summaries = {}, {}
    for name, distance in noise.items():
        columns = {"correct": np.ones(500, int), "bias_sq": bias_sq}
        columns["variance"] = bias_sq * np.exp(distance)
        runs[name], summaries[name] = fake_run(tmp_path / name, columns, "xy"[name == "d"])
    rows = extras.off_line(runs, summaries).rows
    assert set(rows) == {"a and b", "a and c", "b and c"}
    # corr = 1 / (1 + 0.25)
    found = rows["a and b"]["off_line.correlation"]
    assert found["interval"][0] < 0.8 < found["interval"][1]
    assert abs(rows["a and c"]["off_line.correlation"]["value"]) < 0.15
    assert rows["a and b"]["off_line.shared"]["value"] > 0.3


def test_collapse_over_training_takes_the_last_row_of_a_member_and_epoch(tmp_path):
    (tmp_path / "collapse.csv").write_text(
        "member,epoch,nc1\n0,1,9.0\n0,1,10.0\n1,1,10.0\n0,2,0.5\n1,2,1.5\n"
    )
    found = extras.collapse_over_training({"r": tmp_path, "none": tmp_path / "none"}, {})
    assert [point["y"] for point in found.curves["r: nc1"]] == [10.0, 1.0]
    fall = found.rows["r"]["nc1.fall"]
    assert fall["value"] == pytest.approx(np.log10([0.05, 0.15]).mean())
    assert fall["interval"][0] < fall["value"] < fall["interval"][1]
    assert set(found.rows) == {"r"}


def test_one_source_is_compared_with_all_sources_on_otherwise_equal_runs(tmp_path):
    variance = np.arange(1.0, 101.0)
    sources = {"init": "member", "order": "member", "augmentation": "member", "bootstrap": "off"}
    runs, summaries = {}, {}
    for name, own, lr, factor in (
        ("all", {}, 0.1, 1.0),
        ("order", {"init": "shared"}, 0.1, 0.7),
        ("other", {"init": "shared"}, 0.2, 0.5),
    ):
        runs[name], summaries[name] = fake_run(
            tmp_path / name, {"variance_unbiased": factor * variance}
        )
        randomness = {f"model.randomness.{key}": v for key, v in (sources | own).items()}
        summaries[name] |= {"num_members": 8, "identity": randomness | {"model.lr": lr}}
    rows = extras.share_of_all_sources(runs, summaries).rows
    assert set(rows) == {"order"}
    assert rows["order"]["variance.of_all_sources"]["value"] == pytest.approx(0.7)


def test_options_may_name_variables_of_the_environment(monkeypatch):
    one = study.StudyRun("r", "config", "c.yaml", {"data.root": "$BVALIGN_DATA/ants"}, Path())
    before = one.path
    monkeypatch.setenv("BVALIGN_DATA", "/data")
    assert "--data.root=/data/ants" in one.arguments
    assert one.path == before


def test_quantiles_have_intervals_over_samples():
    values = np.exp(np.random.default_rng(1).uniform(np.log(1e-6), np.log(1e-2), 2000))
    found = measures.resampled(measures._decades, values)
    assert found["interval"][0] < 0.95 * 4 < found["interval"][1]


def test_human_labels_are_joined_by_position(tmp_path, fit, monkeypatch):
    fit("--model.members=3", "--trainer.default_root_dir=cifar10")
    counts = np.random.default_rng(0).multinomial(50, np.full(10, 0.1), size=57)
    np.save(tmp_path / "cifar10h-counts.npy", counts)
    monkeypatch.setenv("BVALIGN_DATA", str(tmp_path))
    summaries = {"r": {"data": {"name": "cifar10n"}}, "other": {"data": {"name": "digits"}}}
    runs = dict.fromkeys(summaries, Path("cifar10"))
    rows = extras.human_labels(runs, summaries).rows
    assert set(rows) == {"r"}
    from bvalign.predictions import RunDirectory

    logits, _ = next(RunDirectory("cifar10").predictions().ranges())
    distribution = torch.from_numpy(counts / 50)
    mean = torch.softmax(logits.double(), -1).mean(0)
    expected = (mean - distribution).square().sum(-1).mean()
    assert rows["r"]["human.bias_sq"]["value"] == pytest.approx(float(expected), rel=1e-9)
    (tmp_path / "cifar10h-counts.npy").unlink()
    assert extras.human_labels(runs, summaries).rows == {}


def test_finite_members_predicts_what_averages_do(fit):
    fit(
        "--model.members=6",
        "--data.num_train=200",
        "--data.num_test=80",
        "--trainer.max_epochs=8",
        "--model.lr=0.05",
    )
    path = Path("runs/digits-mlp")
    summary = json.loads((path / "summary.json").read_text())
    found = extras.finite_members({"r": path}, {"r": summary})
    assert found.rows["r"]["finite.mean_error"]["value"] < 0.3
    assert [point["x"] for point in found.curves["r: ols slope"]] == [
        point["x"] for point in found.curves["r: model slope"]
    ]
    assert "drift.ols" in found.rows["r"]
    # at all members the prediction is exact
    full = found.curves["r: mean bias_sq"][-1]
    means = summary["means"]
    assert full["x"] == 6
    predicted = means["bias_sq_unbiased"]["value"] + means["variance_unbiased"]["value"] / 6
    assert full["y"] == pytest.approx(predicted, rel=1e-9)


def test_two_classes_stay_between_the_bounds_of_the_paper():
    row = extras.two_classes({}, {}).rows["model of two classes"]
    assert row["ratio_of_logs.low"]["value"] == pytest.approx(0.557886, abs=1e-6)
    assert 1.9 < row["ratio_of_logs.high"]["value"] < 2


def test_samples_that_fall_off_the_line_are_measured(tmp_path):
    logits, target = random_ensemble(members=8, samples=200)
    values = decompose(moments(logits, target), target)
    names = ("bias_sq", "variance", "bias_sq_unbiased", "variance_unbiased")
    columns = {name: getattr(values, name).numpy() for name in names}
    columns |= {"correct": values.correct.int().numpy()}
    columns |= {f"kl_{name}": columns[name] for name in ("bias", "variance") if name in columns}
    columns["kl_bias"] = columns["bias_sq"]
    columns["log_bias_sq_error"] = np.full(200, 0.1)
    fake_run(tmp_path / "r", columns)
    numbers = measures._from_samples(measures.read_samples(tmp_path / "r"))
    assert numbers["r_squared.lost"]["value"] == pytest.approx(0, abs=1e-12)
    spread = np.log(columns["bias_sq"][columns["correct"] == 1]).var()
    assert numbers["reliability"]["value"] == pytest.approx(1 - 0.01 / spread, rel=1e-9)
    right = columns["correct"] == 1
    ratio = np.log10(columns["variance"] / columns["bias_sq"])
    expected = np.median(ratio[~right]) - np.median(ratio[right])
    assert numbers["wrong.fall"]["value"] == pytest.approx(expected)
    assert numbers["wrong.fall"]["interval"][0] < expected < numbers["wrong.fall"]["interval"][1]


@pytest.fixture(autouse=True)
def _no_results_are_left_in_the_checkout():
    before = set(EXPERIMENTS.rglob("*"))
    yield
    left = {f for f in set(EXPERIMENTS.rglob("*")) - before if "__pycache__" not in f.parts}
    for file in left:
        shutil.rmtree(file, ignore_errors=True)
    assert not left
