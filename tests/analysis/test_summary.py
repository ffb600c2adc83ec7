"""The analysis of labelled predictions: tables, means and shares, and what it leaves to words."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bvalign.analysis.calibration.gap import gap_identity
from bvalign.analysis.decompositions import softmax
from bvalign.analysis.decompositions.other_losses import cross_entropy, vote_counts, zero_one
from bvalign.show.report.summary_json import plain
from tests import reference
from tests.analysed import analysed, estimates
from tests.ensembles import aligned_ensemble, mixed_ensemble, random_ensemble


def test_every_table_equals_its_function_whatever_the_blocks():
    logits, target = random_ensemble(members=6, samples=250)
    found = analysed(logits, target)
    counts = vote_counts(logits.argmax(dim=-1), 4)
    for table, expected in (
        (found.table.cross_entropy, cross_entropy(logits, target)),
        (found.table.zero_one, zero_one(counts, target)),
        (found.table.gap, gap_identity(logits, target)),
    ):
        for name, a, b in zip(expected._fields, table, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-15, msg=name)
    assert found.member_accuracy.shape == (6,)
    expected = (logits.argmax(dim=-1) == target).double().mean(dim=1)
    torch.testing.assert_close(found.member_accuracy, expected)


def test_means_and_shares_agree_with_each_other():
    logits, target = random_ensemble(members=6, samples=250)
    found = analysed(logits, target)
    means = {name: mean.value for name, mean in found.means.items()}
    assert means["bias_sq"] + means["variance"] == pytest.approx(means["risk"])
    assert means["kl_bias"] + means["kl_variance"] == pytest.approx(means["kl_risk"])
    assert means["bias_01"] + means["net_variance_01"] == pytest.approx(means["error_rate"])
    assert found.variance_share()["squared"] == pytest.approx(means["variance"] / means["risk"])
    loops = reference.bias_variance(logits.numpy(), target.numpy())
    for name, values in loops.items():
        assert means[name] == pytest.approx(values.mean(), rel=1e-9), name
    error = 1.97 * loops["risk"].std(ddof=1) / 250**0.5
    low, high = found.means["risk"].interval_samples
    assert (high - low) / 2 == pytest.approx(error, rel=0.001)


def test_accuracies_are_those_of_members_and_of_their_mean():
    logits, target = mixed_ensemble(members=6, samples=150)
    found = analysed(logits, target)
    hits = (logits.argmax(dim=-1) == target).double()
    torch.testing.assert_close(found.member_accuracy, hits.mean(dim=1), rtol=1e-12, atol=0)
    assert found.mean_member_accuracy.value == pytest.approx(hits.mean().item(), rel=1e-12)
    right = softmax(logits).mean(dim=0).argmax(dim=-1) == target
    assert found.accuracy.value == pytest.approx(right.double().mean().item(), rel=1e-12)
    for number in (found.accuracy, found.mean_member_accuracy):
        assert 0 <= number.interval[0] < number.value < number.interval[1] <= 1
    votes = logits.argmax(dim=-1)
    for a in range(6):
        for b in range(6):
            differ = (votes[a] != votes[b]).double().mean().item()
            assert found.pair_disagreement[a, b].item() == pytest.approx(differ, abs=1e-15)


def test_of_many_members_some_are_compared_in_pairs(monkeypatch):
    logits, target = mixed_ensemble(members=9, samples=50)
    whole = analysed(logits, target)
    monkeypatch.setattr("bvalign.analysis.labelled.PAIRED_MEMBERS", 4)
    found = analysed(logits, target)
    assert found.pair_disagreement.shape == (4, 4)
    assert (found.paired.diff() > 0).all()
    of_all = whole.pair_disagreement[found.paired][:, found.paired]
    assert torch.equal(found.pair_disagreement, of_all)
    assert found.means == whole.means


def test_quantiles_are_those_of_all_samples():
    logits, target = random_ensemble(members=6, samples=30, scale=4)
    found = analysed(logits, target)
    loops = reference.bias_variance(logits.numpy(), target.numpy())
    for kind, names in (
        ("plug_in", ("variance", "bias_sq")),
        ("unbiased", ("variance_unbiased", "bias_sq_unbiased")),
    ):
        variance, bias_sq = (loops[name] for name in names)
        for q in (0.5, 0.9, 0.99, 1.0):
            ratio = found.ratio_quantiles()[kind][str(q)]
            assert ratio == pytest.approx(np.quantile(variance / bias_sq, q), rel=1e-6)
            excess = np.maximum(variance - bias_sq, 0)
            value = found.excess_quantiles()[kind][str(q)]
            assert value == pytest.approx(np.quantile(excess, q), rel=1e-6)
    assert found.ratio_quantiles()["plug_in"]["1.0"] <= 5


def test_member_weights_change_the_weighted_means_alone():
    logits, target = random_ensemble(members=4, samples=60)
    plain_found = analysed(logits, target)
    found = analysed(logits, target, member_weights=[2.0, 1.0, 1.0, 0.5])
    assert found.means == plain_found.means
    assert plain_found.weighted_means is None
    for mean in found.weighted_means.values():
        assert mean.interval is None
        assert "over samples alone" in mean.reason
    even = analysed(logits, target, member_weights=[3.0] * 4).weighted_means
    assert even["bias_sq"].value == pytest.approx(found.means["bias_sq"].value, rel=1e-12)


def test_the_collapse_model_recovers_its_own_noise():
    logits, target = aligned_ensemble(members=12, samples=900, sigma=0.7)
    found = analysed(logits, target).collapse
    assert found.distribution == "gaussian"
    assert found.noise.fits["gaussian"].scale == pytest.approx(0.7, rel=0.02)
    assert abs(found.noise.excess_kurtosis) < 4 * found.noise.excess_kurtosis_error
    assert found.slope_simulated == pytest.approx(found.slope_data, abs=0.02)
    assert found.slope_population == pytest.approx(1, abs=0.02)


def test_temperature_calibrates_overconfident_members_and_moves_the_gap():
    """Labels drawn from softmax(z): members that say 3 z need a temperature near three."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1500, 4)) * 1.5
    probs = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    target = torch.tensor([rng.choice(4, p=p) for p in probs])
    logits = torch.from_numpy(3 * (z + 0.05 * rng.standard_normal((4, 1500, 4))))
    found = analysed(logits, target).calibration.temperature
    assert found.temperature == pytest.approx(3, rel=0.15)
    before, after = (found.effect[k]["calibration_residual"] for k in ("before", "after"))
    assert abs(after.value) < abs(before.value) / 3
    low, high = found.effect["change"]["gap"].interval
    assert low > 0 or high < 0


@pytest.mark.parametrize("members", [1, 2])
def test_what_few_members_cannot_say_is_null_with_a_reason(members):
    logits, target = random_ensemble(members=members, samples=60)
    found = analysed(logits, target)
    assert "needs three members" in found.collapse.reason
    text = json.dumps(plain(found.calibration) | plain(found.means), allow_nan=False)
    assert "NaN" not in text
    assert (found.means["disagreement"].value is None) == (members == 1)
    for path, number in estimates(found):
        assert number.interval is None, path
        assert number.reason, path


KINDS = ("plain", "aligned", "certain", "votes", "alike", "half", "impossible")


def drawn(kind, members, samples, classes, seed):
    """An ensemble of a kind that some part of the analysis cannot take as usual."""
    logits, target = random_ensemble(members, samples, classes, scale=2.0, seed=seed)
    rows = torch.arange(samples)
    if kind != "plain":
        logits[:, rows, target] += torch.linspace(2, 15, samples)
    if kind == "certain":
        logits *= 80
    if kind == "votes":
        votes = logits.argmax(dim=-1, keepdim=True)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, votes, 0.0)
    if kind == "alike":
        logits = logits[:1].repeat(members, 1, 1)
    if kind == "half":
        logits = logits.half()
    if kind == "impossible":  # one class that some members exclude
        logits[::2, ::3, 0] = -torch.inf
    return logits, target


@settings(max_examples=25, deadline=None)
@example("alike", 6, 70, 3, False, 0)
@example("certain", 2, 40, 5, False, 2)
@given(
    st.sampled_from(KINDS),
    st.integers(1, 9) | st.just(17),
    st.integers(1, 40) | st.just(70),
    st.integers(2, 5),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_every_number_is_finite_inside_its_intervals_or_has_a_reason(
    kind, members, samples, classes, clustered, seed
):
    """With and without labels; a warning of NumPy would be an error as well."""
    logits, target = drawn(kind, members, samples, classes, seed)
    given = {"clusters": torch.arange(samples) // 3} if clustered else {}
    weights = {"member_weights": [1.0 + m for m in range(members)]}
    for labels, more in ((target, weights), (None, {})):
        found = analysed(logits, labels, size=29, **given, **more)
        assert repr(found)
        for path, number in estimates(found):
            if number.value is None:
                assert number.reason, path
                assert number.quoted_interval is None, path
                continue
            assert math.isfinite(number.value), path
            if number.interval is None:
                assert number.reason, path
            for ends in number[1:4]:
                if ends is not None:
                    assert math.isfinite(ends[0] + ends[1]), (path, number)
                    assert ends[0] <= number.value <= ends[1], (path, number)


def test_wrong_labels_and_no_samples_in_a_range_are_no_trouble():
    """Ranges that hold none of the drawn samples, and one that nobody gets right."""
    logits, target = aligned_ensemble(members=5, samples=60)
    target[:20] = (target[:20] + 1) % 5
    whole = analysed(logits, target, size=60)
    for size in (1, 20):
        found = analysed(logits, target, size=size)
        for (path, a), (_, b) in zip(estimates(found), estimates(whole), strict=True):
            assert a.reason == b.reason, path
            if b.value is not None:
                assert a.value == pytest.approx(b.value, rel=1e-8, abs=1e-12), path


def test_a_temperature_that_does_not_exist_has_a_reason():
    logits, target = aligned_ensemble(members=3, samples=60)
    found = analysed(logits, (target + 1) % 5).calibration.temperature
    assert found.temperature is None
    assert "no minimum" in found.reason
    few = analysed(logits[:, :8], target[:8]).calibration.temperature
    assert "needs ten samples" in few.reason
