"""The gap identity, its bounds by calibration errors, and the risk without labels."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.calibration.gap import (
    decompose_gap,
    gap_bounds,
    gap_identity,
    risk_label_free,
    uncertainty_sum,
)
from bvalign.analysis.decompositions.squared_loss import decompose, merge, moments, softmax
from tests import reference_losses as reference
from tests.reference_losses import ensemble

FEW = settings(max_examples=12, deadline=None)
GOLDEN_NAMES = {
    "gap": "gap",
    "uncertainty": "uncertainty",
    "calibration_residual": "calib_residual",
}


@pytest.mark.parametrize("row", reference.GOLDEN["ensembles"], ids=lambda row: row["id"])
def test_golden(row):
    logits = torch.tensor(row["logits"]).unsqueeze(1)
    values = gap_identity(logits, torch.tensor([row["y"]]))
    for name, key in GOLDEN_NAMES.items():
        expected = float(row["expect"][key])
        # Zero up to rounding where all probabilities are equal.
        floor = 1e-15 if row["kind"] in ("uniform", "tie") else 0
        # Half of the members against the other half: gap and variance cancel 1e-4.
        rtol = 1e-11 if row["kind"] == "split" else 1e-14
        assert getattr(values, name).item() == pytest.approx(expected, rel=rtol, abs=floor), name
    if row["M"] > 1:
        expected = float(row["expect"]["risk_labelfree_u"])
        assert risk_label_free(logits).item() == pytest.approx(expected, rel=1e-14)


@FEW
@given(st.integers(2, 6), st.integers(2, 5), st.floats(0, 60), st.integers(0, 2**32))
def test_values_are_their_definitions(members, classes, margin, seed):
    logits, target = ensemble(members, 3, classes, margin, seed)
    values = gap_identity(logits, target)
    label_free = risk_label_free(logits)
    for n, label in enumerate(target.tolist()):
        bias_sq, variance, risk, uncertainty = reference.squared_loss(logits[:, n].tolist(), label)
        shift = 2 * variance / (members - 1)
        gap = bias_sq - variance
        for actual, expected, scale in (
            (values.uncertainty, uncertainty, uncertainty),
            (values.gap, gap, risk),
            (values.calibration_residual, gap - uncertainty, risk + uncertainty),
            (values.gap_unbiased, gap - shift, risk),
            (values.calibration_residual_unbiased, gap - uncertainty - shift, risk + uncertainty),
            (label_free, uncertainty + shift * members, uncertainty + shift),
        ):
            assert abs(actual[n].item() - expected) <= 1e-13 * scale


@FEW
@given(st.integers(1, 6), st.integers(2, 5), st.floats(0, 60), st.integers(0, 2**32))
def test_gap_is_uncertainty_plus_calibration_residual(members, classes, margin, seed):
    """With the residual in its direct form, 2 <p̄, p̄ - e_y>, and the gap as bias_sq - variance."""
    logits, target = ensemble(members, 5, classes, margin, seed)
    values = gap_identity(logits, target)
    mean = softmax(logits).mean(dim=0)
    direct = 2 * (mean.square().sum(dim=-1) - mean.gather(-1, target[:, None]).squeeze(-1))
    torch.testing.assert_close(values.calibration_residual, direct, rtol=0, atol=1e-14)
    plain = decompose(moments(logits, target), target)
    torch.testing.assert_close(values.gap, plain.bias_sq - plain.variance, rtol=0, atol=1e-14)


def test_streamed_and_merged_members_are_all_at_once():
    logits, target = ensemble(6, 5, 4, 8.0, seed=0)
    blocks = logits[:1], logits[1:3], logits[3:]
    merged = moments(blocks[2], target)
    for block in blocks[:2]:
        merged = merge(moments(block, target), merged, target)
    streamed = decompose_gap(merged, sum(map(uncertainty_sum, blocks)), target)
    for value, expected in zip(streamed, gap_identity(logits, target), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_unbiased_values_are_unbiased():
    """The average over all draws of 3 members from 4 equally likely ones is exact."""
    logits, target = ensemble(4, 5, 3, 1.0, seed=1)
    draws = [logits[list(draw)] for draw in itertools.product(range(4), repeat=3)]
    truth = gap_identity(logits, target)
    values = [gap_identity(draw, target) for draw in draws]
    for name in ("gap", "calibration_residual"):
        average = torch.stack([getattr(v, name + "_unbiased") for v in values]).mean(dim=0)
        torch.testing.assert_close(average, getattr(truth, name), rtol=1e-11, atol=0)
    label_free = torch.stack([risk_label_free(draw) for draw in draws]).mean(dim=0)
    population = 2 * decompose(moments(logits, target), target).variance + truth.uncertainty
    torch.testing.assert_close(label_free, population, rtol=1e-12, atol=0)


def test_label_free_risk_is_the_risk_if_labels_come_from_the_members():
    """Averaged over labels drawn from p̄ of infinitely many members: here, of all 4."""
    logits, _ = ensemble(4, 5, 3, 1.0, seed=1)
    mean = softmax(logits).mean(dim=0)
    risk = torch.stack(
        [decompose(moments(logits, k), k).risk for k in torch.arange(3)[:, None].expand(3, 5)], 1
    )
    draws = itertools.product(range(4), repeat=2)
    average = torch.stack([risk_label_free(logits[list(draw)]) for draw in draws]).mean(dim=0)
    torch.testing.assert_close((mean * risk).sum(dim=1), average, rtol=1e-12, atol=0)


def test_label_free_risk_of_very_confident_members():
    """At a margin of 90 the uncertainty is 1e-39."""
    logits, _ = ensemble(3, 5, 4, 0.0, seed=3)
    logits[..., 2] += 90
    for n, actual in enumerate(risk_label_free(logits).tolist()):
        _, variance, _, uncertainty = reference.squared_loss(logits[:, n].tolist(), 2)
        assert abs(actual / (3 * variance + uncertainty) - 1) < 1e-13


def test_one_member_has_a_gap_but_nothing_unbiased():
    logits, target = ensemble(1, 5, 4, 3.0, seed=1)
    values = gap_identity(logits, target)
    torch.testing.assert_close(values.gap, decompose(moments(logits, target), target).bias_sq)
    assert values.gap_unbiased.isnan().all()
    assert values.calibration_residual_unbiased.isnan().all()
    assert risk_label_free(logits).isnan().all()


@FEW
@given(
    st.integers(1, 40), st.integers(2, 5), st.integers(1, 20), st.floats(0, 60), st.integers(0, 99)
)
def test_bounds_with_slack_hold_for_any_samples(samples, classes, num_bins, margin, seed):
    logits, target = ensemble(3, samples, classes, margin, seed)
    bounds = gap_bounds(softmax(logits).mean(dim=0), target, num_bins=num_bins)
    values = gap_identity(logits, target)
    deviation = (values.gap.mean() - values.uncertainty.mean()).abs()
    torch.testing.assert_close(bounds.deviation, deviation, rtol=1e-10, atol=1e-15)
    for bound in bounds[1:5]:
        assert bounds.deviation <= (bound + bounds.slack) * (1 + 1e-12)


def test_bounds_are_binned_expectations():
    """Two predictions, each repeated, each in cells of its own: the bounds by hand."""
    probs = torch.tensor([[0.6, 0.3, 0.1]] * 4 + [[0.2, 0.75, 0.05]] * 2, dtype=torch.float64)
    bounds = gap_bounds(probs, torch.tensor([0, 1, 1, 2, 1, 1]), num_bins=10)
    # Residuals (0.35, -0.2, -0.15) with share 2/3 and (0.2, -0.25, 0.05) with share 1/3.
    class_wise = 2 * (0.6 * 0.35 + 0.3 * 0.2 + 0.1 * 0.15) * 2 / 3
    class_wise += 2 * (0.2 * 0.2 + 0.75 * 0.25 + 0.05 * 0.05) / 3
    assert bounds.class_wise.item() == pytest.approx(class_wise)
    assert bounds.canonical.item() == pytest.approx(0.5 * 0.7 * 2 / 3 + 0.7 * 0.5 / 3)
    first = 2 * (0.6 * 0.35 * 2 / 3 + 0.75 * 0.25 / 3)
    wrong, doubt = 3 / 6 * 0.3, 0.4 * 0.3 * 2 / 3 + 0.25 * 0.2 / 3
    assert bounds.confidence.item() == pytest.approx(first + 2 * max(wrong, doubt))
    assert bounds.slack.item() == pytest.approx(4 * 0.1 * (0.4 + 2 * 0.7 + 0.9 + 2 * 0.25) / 6)


def test_class_aggregated_bound_pools_classes():
    """Always class 0: residuals -0.58 and 0.48 meet in one bin, 0.1 stays alone in another."""
    probs = torch.tensor([[0.42, 0.48, 0.1]], dtype=torch.float64).repeat(4, 1)
    bounds = gap_bounds(probs, torch.zeros(4).long(), num_bins=10)
    assert bounds.class_aggregated.item() == pytest.approx(2 * (0.45 * 0.1 + 0.1 * 0.1))
    assert bounds.class_wise.item() == pytest.approx(2 * (0.42 * 0.58 + 0.48 * 0.48 + 0.1 * 0.1))


def test_confidence_bound_counts_the_doubt_of_right_predictions():
    probs = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).repeat(4, 1)
    bounds = gap_bounds(probs, torch.zeros(4).long())
    assert bounds.confidence.item() == pytest.approx(2 * 0.7 * 0.3 + 2 * 0.3 * 0.2)


def test_calibrated_confidence_does_not_suffice():
    """p̄ = (.5, .4, .1) with labels (.5, 0, .5): confidence is right, mean residual is 0.24."""
    probs = torch.tensor([[0.5, 0.4, 0.1]], dtype=torch.float64).repeat(10, 1)
    bounds = gap_bounds(probs, torch.tensor([0] * 5 + [2] * 5))
    assert bounds.deviation.item() == pytest.approx(0.24)
    assert bounds.confidence.item() == pytest.approx(2 * 0.5 * 0.4)  # its first term is 0
    assert bounds.deviation < bounds.class_wise


@pytest.mark.parametrize("values_of", [gap_identity, lambda z, y: (risk_label_free(z),)])
def test_permutations(values_of):
    logits, target = ensemble(3, 5, 4, 2.0, seed=2)
    generator = torch.Generator().manual_seed(0)
    members, samples, classes = (torch.randperm(n, generator=generator) for n in logits.shape)
    moved = logits[members][:, samples][..., classes]
    after = values_of(moved, classes.argsort()[target[samples]])
    for old, new in zip(values_of(logits, target), after, strict=True):
        torch.testing.assert_close(new, old[samples], rtol=1e-12, atol=0)


def test_there_must_be_a_bin():
    probs = torch.full((3, 2), 0.5, dtype=torch.float64)
    with pytest.raises(ValueError, match=re.escape("num_bins must be at least 1, got 0")):
        gap_bounds(probs, torch.tensor([0, 1, 0]), num_bins=0)
