"""Error and disagreement: definitions, the squared loss of votes, calibrated synthetic members."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.calibration.cells import class_aggregated
from bvalign.analysis.calibration.disagreement import hard_equality, soft_equality
from bvalign.analysis.calibration.errors import calibration_error
from bvalign.analysis.calibration.gap import gap_bounds, gap_identity, uncertainty_sum
from bvalign.analysis.decompositions.other_losses import vote_counts
from bvalign.analysis.decompositions.squared_loss import moments, softmax
from tests import reference_losses as reference
from tests.ensembles import calibrated_members
from tests.reference_losses import ensemble


def soft(logits, target):
    return soft_equality(moments(logits, target), uncertainty_sum(logits), target)


def mean_and_error(values):
    """Mean of a statistic over samples, and its standard error."""
    return values.mean(), values.std() / len(values) ** 0.5


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 5), st.integers(2, 4), st.integers(0, 2**32))
def test_hard_equality_is_its_definition(members, classes, seed):
    votes = torch.randint(classes, (members, 7), generator=torch.Generator().manual_seed(seed))
    target = torch.arange(7) % classes
    equality = hard_equality(vote_counts(votes, classes), target)
    columns = votes.T.tolist()
    error = [
        sum(v != y for v in c) / members for c, y in zip(columns, target.tolist(), strict=True)
    ]
    unbiased = [float(reference.disagreement(c)) for c in columns]
    plug_in = [sum(a != b for a in c for b in c) / members**2 for c in columns]
    for actual, expected in (
        (equality.error, error),
        (equality.disagreement, unbiased),
        (equality.plug_in, plug_in),
        (equality.difference, [e - d for e, d in zip(error, unbiased, strict=True)]),
        (equality.difference_plug_in, [e - d for e, d in zip(error, plug_in, strict=True)]),
    ):
        assert actual.tolist() == pytest.approx(expected, abs=1e-14)


def test_soft_equality_is_its_definition():
    logits, target = ensemble(3, 5, 4, 1.0, seed=0)
    probs = softmax(logits)
    equality = soft(logits, target)
    same_pairs = [(probs[a] * probs[b]).sum(dim=-1) for a in range(3) for b in range(3) if a != b]
    error = 1 - probs.mean(dim=0)[torch.arange(5), target]
    unbiased = 1 - torch.stack(same_pairs).mean(dim=0)
    plug_in = 1 - probs.mean(dim=0).square().sum(dim=-1)
    expected = (error, unbiased, plug_in, error - unbiased, error - plug_in)
    for actual, values in zip(equality, expected, strict=True):
        torch.testing.assert_close(actual, values, rtol=0, atol=1e-15)


def test_soft_equality_of_votes_is_the_hard_one():
    """One-hot members, as logits of 0 and 1000: also twice the difference is the mean gap."""
    votes = torch.randint(4, (3, 5), generator=torch.Generator().manual_seed(0))
    target = torch.arange(5) % 4
    logits = 1000.0 * torch.nn.functional.one_hot(votes, 4)
    hard = hard_equality(vote_counts(votes, 4), target)
    for a, b in zip(hard, soft(logits, target), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-15)
    gap = gap_identity(logits, target).gap_unbiased
    torch.testing.assert_close(2 * hard.difference, gap, rtol=0, atol=1e-15)


@pytest.mark.parametrize("seed", [0, 1])
def test_equality_holds_for_calibrated_members(seed):
    logits, votes, target = calibrated_members(seed)
    for equality in (soft(logits, target), hard_equality(vote_counts(votes, 4), target)):
        difference, error = mean_and_error(equality.difference)
        assert abs(difference) < 3 * error
        # Calibration of infinitely many members is not calibration of these five.
        assert equality.difference_plug_in.mean() > 3 * error
    gap = gap_identity(logits, target)
    residual, error = mean_and_error(gap.calibration_residual_unbiased)
    assert abs(residual) < 3 * error


def test_paired_standard_error_is_the_smaller_one():
    logits, _, target = calibrated_members(seed=0)
    equality = soft(logits, target)
    paired, *separate = (mean_and_error(equality[place])[1] for place in (3, 0, 1))
    assert equality._fields[3] == "difference"
    assert paired < 0.9 * (separate[0] ** 2 + separate[1] ** 2).sqrt()


def test_distance_is_bounded_by_class_aggregated_calibration():
    _, votes, target = calibrated_members(seed=2)
    target = torch.where(torch.arange(len(target)) < 1000, 0, target)  # and now miscalibrated
    counts = vote_counts(votes, 4)
    shares = counts.double() / 5
    distance = hard_equality(counts, target).difference_plug_in.mean().abs()
    # Bins of width 1/6 hold one of the six values of a share: no slack is needed.
    error = calibration_error(class_aggregated(shares, target, num_bins=6)).absolute
    assert 0.01 < distance <= error
    torch.testing.assert_close(gap_bounds(shares, target).deviation, 2 * distance)


def test_one_member_does_not_disagree():
    logits, target = ensemble(1, 5, 4, 1.0, seed=0)
    equality = soft(logits, target)
    assert equality.disagreement.isnan().all()
    assert equality.difference.isnan().all()
    assert equality.difference_plug_in.isfinite().all()
