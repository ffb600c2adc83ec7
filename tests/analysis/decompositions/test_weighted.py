"""Weighted members: golden values, loops in 60 digits, and exact averages over all draws."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.decompositions.weighted import weighted_decompose
from tests import reference_losses as reference
from tests.reference_losses import ensemble

GOLDEN_NAMES = {
    "bias_sq": "bias2",
    "variance": "vari",
    "risk": "risk",
    "variance_unbiased": "vari_u",
    "bias_sq_unbiased": "bias2_u",
}


@pytest.mark.parametrize("row", reference.GOLDEN["weighted"], ids=lambda row: row["id"])
def test_golden(row):
    logits = torch.tensor(row["logits"]).unsqueeze(1)
    values = weighted_decompose(logits, torch.tensor([row["y"]]), torch.tensor(row["weights"]))
    for name, key in GOLDEN_NAMES.items():
        expected = float(row["expect"][key])
        assert getattr(values, name).item() == pytest.approx(expected, rel=2e-15), name
    assert values.correct.item() == row["expect"]["correct"]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=6).filter(lambda w: sum(x > 0 for x in w) > 1),
    st.integers(2, 5),
    st.floats(0, 60),
    st.integers(0, 2**32),
)
def test_values_are_their_definitions(weights, classes, margin, seed):
    logits, target = ensemble(len(weights), 3, classes, margin, seed)
    values = weighted_decompose(logits, target, torch.tensor(weights))
    for n, label in enumerate(target.tolist()):
        bias_sq, variance, risk, pairs = reference.weighted(logits[:, n].tolist(), label, weights)
        for actual, expected in (
            (values.bias_sq, bias_sq),
            (values.variance, variance),
            (values.risk, risk),
            (values.bias_sq_pairs, pairs),
        ):
            # Members that almost agree cost the variance digits: u sqrt(risk / variance).
            assert abs(actual[n].item() - expected) <= 1e-11 * expected
    torch.testing.assert_close(
        values.bias_sq_unbiased + values.variance_unbiased, values.risk, rtol=1e-13, atol=0
    )
    assert (values.bias_sq_pairs > 0).all()


def test_equal_weights_change_nothing():
    logits, target = ensemble(3, 5, 4, 2.0, seed=0)
    weighted = weighted_decompose(logits, target, torch.full((3,), 2))
    plain = decompose(moments(logits, target), target)
    for name in ("bias_sq", "variance", "risk", "bias_sq_unbiased", "variance_unbiased"):
        actual, expected = getattr(weighted, name), getattr(plain, name)
        torch.testing.assert_close(actual, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(weighted.bias_sq_pairs, plain.bias_sq_unbiased, rtol=1e-13, atol=0)


def test_multiplicity_is_entering_a_member_again():
    logits, target = ensemble(3, 5, 4, 2.0, seed=0)
    weighted = weighted_decompose(logits, target, torch.tensor([2, 1, 0]))
    entered = decompose(moments(logits[[0, 0, 1]], target), target)
    for name in ("bias_sq", "variance", "risk"):
        torch.testing.assert_close(getattr(weighted, name), getattr(entered, name))
    assert (entered.variance_unbiased < weighted.variance_unbiased).all()


def test_both_unbiased_values_are_unbiased():
    """The average over all draws of 3 members from 4 equally likely ones is exact."""
    logits, target = ensemble(4, 5, 3, 1.0, seed=1)
    weights = torch.tensor([2.0, 1.0, 0.5])
    draws = [
        weighted_decompose(logits[list(draw)], target, weights)
        for draw in itertools.product(range(4), repeat=3)
    ]
    truth = decompose(moments(logits, target), target)
    for name, expected in (
        ("variance_unbiased", truth.variance),
        ("bias_sq_unbiased", truth.bias_sq),
        ("bias_sq_pairs", truth.bias_sq),
        ("risk", truth.risk),
    ):
        average = torch.stack([getattr(draw, name) for draw in draws]).mean(dim=0)
        torch.testing.assert_close(average, expected, rtol=1e-12, atol=0)


def test_additive_unbiased_bias_may_be_negative_and_pairs_not():
    logits = torch.tensor([[[30.0, 0.0]], [[0.0, 30.0]], [[30.0, 0.0]]])
    values = weighted_decompose(logits, torch.tensor([0]), torch.tensor([2, 1, 1]))
    assert values.bias_sq_unbiased.item() == pytest.approx(-0.1)
    assert 0 < values.bias_sq_pairs.item() < 1e-12


def test_one_member_with_all_the_weight_has_no_unbiased_values():
    logits, target = ensemble(3, 5, 4, 0.0, seed=2)
    values = weighted_decompose(logits, target, torch.tensor([0, 3, 0]))
    assert (values.variance == 0).all()
    for value in values[-3:]:
        assert value.isnan().all()


def test_permutations():
    logits, target = ensemble(3, 5, 4, 2.0, seed=2)
    weights = torch.tensor([3, 1, 2])
    generator = torch.Generator().manual_seed(0)
    members, samples, classes = (torch.randperm(n, generator=generator) for n in logits.shape)
    moved = logits[members][:, samples][..., classes]
    before = weighted_decompose(logits, target, weights)
    after = weighted_decompose(moved, classes.argsort()[target[samples]], weights[members])
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old[samples], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1.0, 1.0], "must be 3 finite numbers >= 0, one per member, got [1.0, -1.0, 1.0]"),
        ([1.0, float("inf"), 1.0], "finite numbers"),
        ([1.0, 1.0], "must be 3 finite numbers >= 0, one per member, got [1.0, 1.0]"),
        ([0.0, 0.0, 0.0], "must not all be zero, got [0.0, 0.0, 0.0]"),
    ],
)
def test_weights_must_be_weights(weights, message):
    logits, target = ensemble(3, 5, 4, 0.0, seed=0)
    with pytest.raises(ValueError, match=re.escape(message)):
        weighted_decompose(logits, target, torch.tensor(weights))
