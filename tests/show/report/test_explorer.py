"""What the page holds of the samples: columns, named filters, lines, means of bins, texts."""

import base64
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from bvalign import analyze
from bvalign.analysis.intervals import Spread, estimate
from bvalign.decisions import Options, decide
from bvalign.show.figures import feasible_variance
from bvalign.show.report.explorer import bins, data
from bvalign.show.report.explorer.bins import Points, bin_means
from bvalign.show.report.explorer.scenarios import scenarios
from bvalign.show.report.explorer.texts import as_script, texts_within
from bvalign.show.report.explorer.views import _left_out, views
from tests.ensembles import mixed_ensemble, predictions_of

MEMBERS, SAMPLES = 6, 300
NAMES = ("cat", "dog", "ship")


@pytest.fixture(scope="module")
def analysed():
    """Logits and labels, and the analyses with labels and without."""
    logits, target = mixed_ensemble(members=MEMBERS, samples=SAMPLES)
    labelled = analyze(predictions_of(logits, target))
    return logits, target, labelled, analyze(predictions_of(logits))


def unpacked(packed, rows=SAMPLES):
    values = np.frombuffer(base64.b64decode(packed["data"]), dtype=f"<{packed['type']}")
    return values.reshape(rows, -1).squeeze(axis=1) if len(values) == rows else values


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_columns_keep_the_order_of_the_page_and_the_columns_of_decisions(analysed):
    _, _, labelled, unlabelled = analysed
    shown = np.random.default_rng(0).permutation(SAMPLES)
    for analysis in (labelled, unlabelled):
        decisions = decide(analysis, Options())
        page = data.explorer(analysis, NAMES, shown, decisions)
        columns = analysis.columns()
        for decision in decisions.values():
            columns |= decision.columns()
        wanted = {name for name, column in columns.items() if column.unit.shown}
        assert wanted <= page["seen"].keys() <= page["columns"].keys()
        for name in page["seen"].keys() & columns.keys():
            values = columns[name].values.numpy()[shown]
            exact = 0 if name in data.EXACT else 1e-6
            np.testing.assert_allclose(unpacked(page["columns"][name]), values, rtol=exact)
        for key, found in scenarios(analysis, decisions).items():
            bits = np.unpackbits(unpacked(page["scenarios"][key]["bits"]), bitorder="little")
            np.testing.assert_array_equal(bits[:SAMPLES], found.mask[shown])
    assert {"wrong_label", "suggested_label"} <= data._seen(
        labelled, decide(labelled, Options())
    ).keys()


def test_named_filters_are_what_they_say(analysed):
    logits, target, labelled, unlabelled = analysed
    probs, label = softmax(logits.numpy()), target.numpy()
    mean, votes = probs.mean(axis=0), probs.argmax(axis=-1)
    decisions = decide(labelled, Options())
    found, without = scenarios(labelled, decisions), scenarios(unlabelled, {})
    most = np.array([np.bincount(column, minlength=3).max() for column in votes.T])
    wrong = mean.argmax(axis=-1) != label
    main = np.array([np.bincount(column, minlength=3).argmax() for column in votes.T])
    expected = {
        "wrong": wrong,
        "confidently-wrong": wrong & (mean.max(axis=-1) >= 0.9),
        "split-votes": most <= 4,
        "systematic": wrong & (main != label) & (most >= 0.9 * MEMBERS),
        "chance": wrong & (most < 0.9 * MEMBERS) & (votes == label).any(axis=0),
        "not-accepted": ~decisions["abstain"].columns()["accepted"].values.numpy(),
    }
    for key, mask in expected.items():
        if 0 < mask.sum() < SAMPLES:
            np.testing.assert_array_equal(found[key].mask, mask, err_msg=key)
        else:
            assert key not in found
    assert {"wrong", "split-votes", "off-line"} <= found.keys()
    x, y = np.log(labelled["bias_sq"][~wrong]), np.log(labelled["variance"][~wrong])
    slope, intercept = np.polyfit(x, y, 1)
    distance = y - intercept - slope * x
    np.testing.assert_array_equal(
        found["off-line"].mask[~wrong], np.abs(distance) > 2 * distance.std()
    )
    np.testing.assert_array_equal(without["unsure"].mask, mean.max(axis=-1) < 0.6)
    np.testing.assert_array_equal(without["split-votes"].mask, most <= 4)
    variance = probs.var(axis=0).sum(axis=-1)
    assert variance[without["most-variable"].mask].min() >= np.sort(variance)[-15]
    assert without["most-variable"].mask.sum() == 15


def test_values_without_a_member_are_those_of_the_others(analysed):
    logits, target, labelled, unlabelled = analysed
    probs, label = softmax(logits.numpy()), np.eye(3)[target.numpy()]
    left_out, without, matched = _left_out(labelled), _left_out(unlabelled), 0
    for group in range(MEMBERS):
        found = []
        for member in range(MEMBERS):
            others = np.delete(probs, member, axis=0)
            mean, left = others.mean(axis=0), MEMBERS - 1
            bias_sq = np.square(mean - label).sum(axis=-1)
            variance = others.var(axis=0).sum(axis=-1)
            expected = {
                "bias_sq": bias_sq,
                "variance": variance,
                "variance_unbiased": variance * left / (left - 1),
                "bias_sq_unbiased": bias_sq - variance / (left - 1),
                "kind": mean.argmax(axis=-1) != target.numpy(),
            }
            close = (
                np.allclose(left_out[k][group], v, rtol=1e-3, atol=1e-7)
                for k, v in expected.items()
            )
            found.append(all(close))
            if np.allclose(without["variance"][group], variance):
                error = 1 - mean.max(axis=-1)
                np.testing.assert_allclose(without["error_label_free"][group], error, atol=1e-12)
                matched += 1
        assert sum(found) == 1
    assert matched == MEMBERS


def one_bin(x, y, kind, ends, clusters):
    """Mean and interval of one bin, by loops; the last axis of x, y and kind is samples."""
    low, high, wanted, last = ends

    def inside(u, k):
        return k == wanted and low <= u and (u < high or (last and u <= high))

    groups, samples = len(x) - 1, x.shape[1]
    v = {i: y[0][i] for i in range(samples) if inside(x[0][i], kind[0][i])}
    mean = sum(v.values()) / len(v)
    units = {}
    for i, value in v.items():
        name = i if clusters is None else clusters[i]
        units[name] = units.get(name, 0) + value - mean
    of_samples = sum(u**2 for u in units.values()) / len(v) ** 2 * len(units) / (len(units) - 1)
    rows = [
        [i for i in range(samples) if inside(x[g][i], kind[g][i])] for g in range(1, groups + 1)
    ]
    means = [sum(y[g + 1][i] for i in rows[g]) / len(rows[g]) for g in range(groups)]
    every = sum(sum(y[g + 1][i] for i in rows[g]) for g in range(groups))
    centre, size = every / sum(map(len, rows)), sum(map(len, rows)) / groups
    of_members = (groups - 1) / groups * sum((m - sum(means) / groups) ** 2 for m in means)
    both = 0.0
    for i in range(samples):
        added = [(y[g + 1][i] - centre) / size if i in rows[g] else 0.0 for g in range(groups)]
        average = sum(added) / groups
        both += (groups - 1) / groups * sum((a - average) ** 2 for a in added)
    return len(v), estimate(mean, Spread(of_samples, len(units), of_members, both, groups))


@pytest.mark.parametrize("log", [True, False], ids=["log", "linear"])
@pytest.mark.parametrize("clustered", [False, True], ids=["samples", "clusters"])
def test_means_of_bins_are_those_of_loops(monkeypatch, log, clustered):
    monkeypatch.setattr(bins, "NUM_BINS", 3)
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=(1, 120)) + 0.2 * rng.normal(size=(6, 120)))
    y, kind = x * np.exp(0.3 * rng.normal(size=(6, 120))), (x > 1.5).astype(int)
    y[0, :2] = 0.0  # no logarithm
    clusters = rng.integers(40, size=120) if clustered else None
    found = bin_means(
        Points(x[0], y[0], kind[0]), Points(x[1:], y[1:], kind[1:]), clusters, log=log
    )
    with np.errstate(divide="ignore"):
        u, v = (np.log10(x), np.log10(y)) if log else (x, y)
    u = np.where(np.isfinite(v), u, np.inf)
    edges = np.linspace(found["low"], found["high"], 4)
    assert edges[0] == u[0].min()
    seen = 0
    for which in (0, 1):
        expected = []
        for place in range(3):
            ends = (edges[place], edges[place + 1], which, place == 2)
            if (
                sum(
                    k == which and edges[place] <= a < edges[place + 1]
                    for a, k in zip(u[0], kind[0], strict=True)
                )
                >= 10
            ):
                expected.append(one_bin(u, v, kind, ends, clusters))
        assert len(found["means"][which]) == len(expected)
        for given, (number, mean) in zip(found["means"][which], expected, strict=True):
            ends = np.array([mean.value, *mean.interval])
            assert given["n"] == number
            wanted = 10**ends if log else ends
            np.testing.assert_allclose([given["y"], given["low"], given["high"]], wanted, rtol=1e-9)
            seen += 1
    assert seen >= 3


def test_lines_stay_among_the_samples_and_where_variance_is_feasible(analysed):
    *_, labelled, unlabelled = analysed
    for key, view in views(labelled).items():
        assert view["lines"]
        x, y = labelled[view["x"]], labelled[view["y"]]
        rows = labelled["correct"] & (x > 0) & (y > 0)
        members = MEMBERS if key == "plug_in" else 10**9
        for line in view["lines"]:
            at, up = (np.array(line[axis], dtype=float) for axis in "xy")
            kept = np.isfinite(up)
            assert kept.any()
            assert x[rows].min() <= at.min() * 1.001
            assert at.max() <= x[rows].max() * 1.001
            assert (up[kept] <= 1.001 * feasible_variance(at[kept], members, 3)).all()
            assert up[kept].max() <= 1.001 * y[rows].max()
    (view,) = views(unlabelled).values()
    edge = np.interp(
        unlabelled["error_label_free"], view["edge"]["x"], np.array(view["edge"]["y"], dtype=float)
    )
    assert (unlabelled["variance"] <= 1.01 * edge).all()
    assert view["lines"] == []


def test_the_quantiles_of_the_page_are_those_of_student(analysed):
    page = data.explorer(analysed[2], NAMES, np.arange(SAMPLES), {})
    assert page["quantiles"][4] == pytest.approx(t.ppf(0.975, 5), abs=1e-4)


@pytest.mark.parametrize("limit", [10**6, 20_000, 9_000, 4_000])
def test_the_longest_texts_are_shortened(limit):
    rng = np.random.default_rng(0)
    texts = ["é<\n" * int(n) for n in rng.integers(1, 90, size=100)]
    found = texts_within(texts, limit)
    assert len(as_script(found.texts).encode()) <= limit
    changed = [i for i in range(100) if found.texts[i] != texts[i]]
    assert found.shortened == len(changed)
    if changed:
        kept = max((len(texts[i]) for i in range(100) if i not in changed), default=0)
        assert min(len(texts[i]) for i in changed) > kept
        assert len(as_script(found.texts).encode()) > 0.9 * limit
    else:
        assert limit == 10**6


def test_the_table_library_is_the_one_whose_licence_lies_beside_it():
    folder = Path(data.__file__).parent / "vendor"
    assert "36.2.0" in (folder / "README.md").read_text()
    assert '"36.2.0"' in (folder / "ag-grid-community.min.js").read_text()
    assert "MIT License" in (folder / "ag-grid-community.LICENSE.txt").read_text()
    assert math.isclose((folder / "ag-grid-community.min.js").stat().st_size, 1.41e6, rel_tol=0.01)
