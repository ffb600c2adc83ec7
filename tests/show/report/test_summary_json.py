"""summary.json: every number with its interval, its reason, and a place in the documentation."""

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign import analyze, open_predictions
from bvalign.analysis.intervals import Estimate, exponential
from bvalign.analysis.slopes import FLAGS
from bvalign.show.report.labelled import summarise
from bvalign.show.report.summary_json import plain
from bvalign.show.report.unlabelled import summarise as summarise_unlabelled
from tests import ROOT
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, predictions_of, random_ensemble

PAGE = (ROOT / "docs" / "summary.md").read_text()
WORDS = re.sub("```.*?```", "", PAGE, flags=re.DOTALL)
DOCUMENTED = set(re.findall(r"\w+", " ".join(re.findall("`[^`]+`", WORDS))))
KEYED_BY_DATA = ("identity", "provenance", "versions")
INTERVALS = ("interval", "interval_samples", "interval_members")


def summary_of(logits, target, **more):
    """What is written, read back."""
    source = predictions_of(logits, target, **more)
    found = summarise if target is not None else summarise_unlabelled
    summary = found(analyze(source), source, {"source": "test"})
    return json.loads(json.dumps(summary, allow_nan=False))


def numbers_of(value, path=""):
    """Path and fields of all numbers that have intervals."""
    if isinstance(value, dict):
        if "value" in value:
            yield path, value
        for key, part in value.items():
            yield from numbers_of(part, f"{path}.{key}")
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from numbers_of(part, f"{path}[{place}]")


def votes_of(logits):
    votes = logits.argmax(dim=-1)
    return torch.where(torch.nn.functional.one_hot(votes, logits.shape[-1]) == 1, 0.0, -torch.inf)


ENSEMBLES = [
    *((f"aligned-{m}-{n}", *aligned_ensemble(members=m, samples=n))
      for m, n in ((1, 30), (2, 40), (3, 45), (4, 60), (5, 80), (7, 60), (8, 150), (9, 120))),
    *((f"random-{m}-{n}", *random_ensemble(members=m, samples=n, classes=k, scale=scale))
      for m, n, k, scale in ((1, 1, 2, 1.0), (2, 1, 3, 9.0), (3, 2, 2, 0.1), (4, 3, 5, 30.0),
                             (5, 7, 3, 2.0), (6, 40, 2, 4.0), (8, 200, 3, 0.5), (9, 90, 4, 60.0))),
    *((f"votes-{m}-{n}", votes_of(random_ensemble(members=m, samples=n, scale=3.0)[0]),
       random_ensemble(members=m, samples=n)[1])
      for m, n in ((1, 20), (2, 5), (5, 60), (9, 150))),
    ("saturated", *(lambda z, y: (40 * z.round(), y))(*random_ensemble(members=6, samples=80))),
    ("all the same", torch.zeros(4, 50, 3), torch.zeros(50, dtype=torch.int64)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "logits", "target"), ENSEMBLES, ids=[e[0] for e in ENSEMBLES])
@pytest.mark.parametrize("labelled", [True, False], ids=["labels", "no labels"])
def test_no_value_lies_outside_its_interval(name, logits, target, labelled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = summary_of(logits, target if labelled else None)
    numbers = dict(numbers_of(summary))
    assert len(numbers) > (60 if labelled else 10)
    for path, number in numbers.items():
        value, reason = number["value"], number["reason"]
        assert value is not None or reason, f"{path}: a missing number needs a reason"
        assert number["interval"] or reason, f"{path}: a missing interval needs a reason"
        for kind in INTERVALS:
            if number[kind] is not None:
                low, high = number[kind]
                assert value is not None, path
                assert low <= value <= high, f"{path}.{kind}: {value} not in {low}, {high}"


def test_member_weights_and_clusters_have_intervals_too():
    logits, target = random_ensemble(members=5, samples=60)
    clusters = np.arange(60) // 3
    weighted = summary_of(logits, target, weights=(1.0, 2.0, 1.0, 1.0, 3.0), clusters=clusters)
    for name, number in weighted["weighted"].items():
        low, high = number["interval"] or number["interval_samples"]
        assert low <= number["value"] <= high, name
    alone = summary_of(logits, target)
    assert alone["weighted"] is None
    assert (
        weighted["means"]["risk"]["interval_samples"] != alone["means"]["risk"]["interval_samples"]
    )


SOFT = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.5, 0.5], size=60)


@pytest.mark.parametrize("answers", [None, np.arange(2, 62)])
@pytest.mark.parametrize("members", [1, 2, 3, 6])
def test_soft_labels_have_intervals_or_reasons_too(members, answers):
    logits, _ = random_ensemble(members=members, samples=60)
    more = {"soft_labels": SOFT, "answers": answers, "weights": (2.0,) * members}
    summary = summary_of(logits, SOFT.argmax(axis=1), **more)
    assert set(keys_of(summary)) - {"zero variance"} <= DOCUMENTED
    for path, number in numbers_of(summary):
        assert number["value"] is not None or number["reason"], path
        assert number["interval"] or number["reason"], path
        for kind in INTERVALS:
            if number[kind] is not None:
                assert number[kind][0] <= number["value"] <= number[kind][1], path


def test_the_population_is_shown_as_slope_and_offset_with_their_flags():
    logits, target = aligned_ensemble(members=12, samples=300)
    summary = summary_of(logits, target)
    analysis = analysed(logits, target, 300)
    found, fit = analysis.alignment.logit_slope, summary["alignment"]["logit_slope"]
    assert fit["slope"] == plain(found.slope)
    assert fit["offset"] == plain(found.offset)
    assert fit["flags"] == list(found.flags)
    assert fit["quotable"] == found.quotable
    mean = summary["ratio"]["population"]["geometric_mean"]
    for kind in ("value", *INTERVALS):
        np.testing.assert_allclose(mean[kind], np.exp(fit["offset"][kind]), rtol=1e-12)
    assert summary["alignment"]["cross_half"]["members"] == 4
    assert set(summary["alignment"]) == {"logit_slope", "ols", "cross_half"}


def test_a_geometric_mean_is_always_a_number():
    assert exponential(Estimate(0.0, (-1e5, 1e5))).interval == (math.exp(-700), math.exp(700))
    assert exponential(Estimate(None, reason="few")) == Estimate(None, reason="few")


def test_ols_counts_the_samples_of_its_line():
    logits, target = aligned_ensemble(members=6, samples=100)
    one_hot = torch.nn.functional.one_hot(target[:7], 5)
    logits[:, :7] = torch.where(one_hot == 1, 0.0, -torch.inf).double()  # no member differs
    summary = summary_of(logits, target)
    dropped = sum(summary["alignment_dropped"].values())
    correct = round(100 * summary["accuracy"]["value"])
    assert dropped == 7
    assert summary["alignment"]["ols"]["samples"] == correct - 7


def test_one_member_says_why_numbers_are_missing():
    summary = summary_of(*random_ensemble(members=1, samples=20))
    reasons = {entry["name"]: entry["reason"] for entry in summary["missing"]}
    assert reasons["variance_unbiased"] == "needs two members"
    assert summary["means"]["variance_unbiased"]["reason"] == "needs two members"
    assert summary["calibration"]["gap"]["gap_unbiased"]["reason"] == "needs two members"
    assert "kl_risk" not in reasons


def test_every_number_and_flag_is_documented():
    logits, target = aligned_ensemble(members=12, samples=300)
    weights = tuple(map(float, range(1, 13)))
    for summary in (summary_of(logits, target, weights=weights), summary_of(logits, None)):
        for key in keys_of(summary):
            assert key in DOCUMENTED, key
    reading = (ROOT / "docs/report.md").read_text()
    for flag in FLAGS:
        assert f"`{flag}`" in reading, flag


def keys_of(value):
    """Names of keys, at any depth, as far as they are not data themselves."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not re.fullmatch(r"[\d.]+", key):
                yield key
            if key not in KEYED_BY_DATA:
                yield from keys_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from keys_of(part)


def test_votes_have_a_reason_in_place_of_a_population_slope(tmp_path):
    logits, target = aligned_ensemble(members=6, samples=60, sigma=6)
    path = Path(tmp_path / "votes.npz")
    np.savez(path, votes=logits.argmax(dim=-1), labels=target)
    source = open_predictions(path)[0]
    summary = summarise(analysed(votes_of(logits), target), source, {})
    fit = summary["alignment"]["logit_slope"]
    assert fit["slope"]["value"] is None
    assert "saturated" in fit["slope"]["reason"]
    assert not fit["quotable"]
