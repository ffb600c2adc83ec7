"""`bvalign analyze` and `compare` on answers of people, as in CIFAR-10H, and other soft labels."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bvalign import analyze
from tests.ensembles import mixed_ensemble, predictions_of, save_npz

pytestmark = pytest.mark.usefixtures("without_figures")
ENSEMBLE = mixed_ensemble(members=6, samples=200, classes=10)
LOGITS, TARGET = (array.numpy() for array in ENSEMBLE)


def answers(few=47, many=63):
    """Counts of answers; people agree on some samples, and on others they do not."""
    rng = np.random.default_rng(0)
    sure = rng.beta(3, 0.4, size=(200, 1))
    shares = sure * np.eye(10)[TARGET] + (1 - sure) * rng.dirichlet(np.full(10, 0.2), size=200)
    return np.stack([rng.multinomial(rng.integers(few, many + 1), row) for row in shares])


def analysed(bvalign, name, labels):
    save_npz(Path(f"{name}.npz"), LOGITS, labels)
    bvalign("analyze", f"{name}.npz", "--out", name)
    return json.loads(Path(name, "summary.json").read_text())


def test_people_s_answers_are_read_decomposed_and_said(bvalign, capsys):
    counts = answers()
    summary = analysed(bvalign, "people", counts)
    q, means = counts / counts.sum(axis=1, keepdims=True), summary["means"]
    noise = 1 - (q**2).sum(axis=1)
    assert summary["soft_labels"] is True
    assert means["noise"]["value"] == pytest.approx(noise.mean())
    assert means["noise_unbiased"]["value"] == pytest.approx(
        (noise * counts.sum(axis=1) / (counts.sum(axis=1) - 1)).mean()
    )
    parts = [means[name]["value"] for name in ("noise", "bias_sq", "variance")]
    assert sum(parts) == pytest.approx(means["risk"]["value"])
    share = parts[0] / means["risk"]["value"]
    assert summary["noise_share"]["squared"] == pytest.approx(share)
    assert summary["ratio"]["ceiling"] is summary["ratio"]["quantiles"]["unbiased"]["0.5"] is None
    assert summary["ratio"]["reason"].startswith("labels are soft")
    for number in (
        summary["alignment"]["logit_slope"]["slope"],
        summary["calibration"]["hard_equality"]["difference"],
        summary["calibration"]["temperature"],
        summary["collapse"],
    ):
        assert number["reason"].startswith("labels are soft")
    with Path("people/samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["noise"]) for row in rows] == pytest.approx(noise)
    assert [int(row["label"]) for row in rows] == q.argmax(axis=1).tolist()
    assert [int(row["answers"]) for row in rows] == counts.sum(axis=1).tolist()
    page = " ".join(Path("people/report.html").read_text().split())
    assert f"{share:.0%} of it is label noise" in page
    assert "right means that the prediction is the most probable class of the label" in page
    assert "label noise + squared bias − variance = uncertainty" in page
    assert "feasibility bound" not in page.split("page-data")[1]
    out = " ".join(capsys.readouterr().out.split())
    assert "mean label noise" in out
    assert re.search(r"labels are counts of 47 to 63 answers a sample, .* by about 0\.0", out)


def test_one_hot_rows_and_single_answers_are_class_ids(bvalign):
    expected = analysed(bvalign, "single", TARGET)
    for name, labels in (
        ("one-hot", np.eye(10)[TARGET]),
        ("answers", np.eye(10, dtype=int)[TARGET]),
        ("agreed", 50 * np.eye(10, dtype=int)[TARGET]),
    ):
        found = analysed(bvalign, name, labels)
        for key in ("data", "notes", "provenance"):
            found[key] = expected[key]
        assert found == expected
        assert Path(name, "samples.csv").read_bytes() == Path("single/samples.csv").read_bytes()


def test_a_single_answer_is_named_where_it_leaves_a_number_out(bvalign):
    counts = answers()
    counts[3] = np.eye(10)[TARGET[3]]
    missing = {n["name"]: n["reason"] for n in analysed(bvalign, "people", counts)["missing"]}
    assert missing == dict.fromkeys(
        ("noise_unbiased", "bias_sq_unbiased"), "needs two answers, and 1 samples have one"
    )


def test_reports_of_soft_and_of_single_labels_are_compared(bvalign):
    counts = answers()
    counts[np.arange(200), TARGET] += counts.sum(axis=1)  # no ties
    analysed(bvalign, "people", counts)
    analysed(bvalign, "shares", counts / counts.sum(axis=1, keepdims=True))
    analysed(bvalign, "single", TARGET)
    analysed(bvalign, "others", counts + 40 * np.eye(10, dtype=int)[TARGET])
    bvalign("compare", "people", "shares", "single", "others", "--out", "all")
    found = json.loads(Path("all/compare.json").read_text())
    pairs = {tuple(pair["runs"]): pair for pair in found["pairs"]}
    for name in ("people", "shares"):
        pair = pairs[name, "single"]
        for number in ("risk", "bias_sq"):
            difference = pair["differences"][number]
            assert difference["value"] is None
            assert "not the same kind in both runs" in difference["reason"]
        assert f"{name}: labels are soft" in pair["differences"]["slope"]["reason"]
        assert pair["differences"]["variance"]["value"] == 0
        assert pair["bias_sq_rank_correlation"] is pair["off_line_overlap"] is None
        assert pair["variance_rank_correlation"] == pytest.approx(1)
        assert "labels are not of the same kind" in " ".join(pair["notes"])
    reasons = {tuple(pair["runs"]): pair["reason"] for pair in found["unpaired"]}
    assert reasons["people", "others"] == (
        "tested on different labels: they are soft in both runs, and their noise differs"
    )
    assert "label" in Path("all/compare.html").read_text()


def test_opened_predictions_take_soft_labels_that_are_one_hot_for_class_ids():
    one_hot = np.eye(10)[TARGET]
    single = analyze(predictions_of(*ENSEMBLE))
    found = analyze(predictions_of(*ENSEMBLE, soft_labels=one_hot))
    assert repr(found) == repr(single)
    assert all(np.array_equal(found[k], single[k], equal_nan=True) for k in single.columns())


@pytest.mark.parametrize(
    ("target", "scale", "message"),
    [
        (TARGET, 1.01, "sum to one in each row, but 200 of 200 do not; divide them by soft_labels"),
        (TARGET, -1.0, "must be at least 0 and sum to one"),
        ((TARGET + 1) % 10, 1.0, r"but 200 of 200 are not; give soft_labels.argmax\(1\)"),
    ],
)
def test_opened_predictions_must_agree_with_their_soft_labels(target, scale, message):
    soft = scale * (0.9 * np.eye(10)[TARGET] + 0.01)
    with pytest.raises(ValueError, match=message):
        analyze(predictions_of(ENSEMBLE[0], target, soft_labels=soft))
