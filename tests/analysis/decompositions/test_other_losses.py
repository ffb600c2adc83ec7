"""Cross-entropy and 0-1 decompositions: golden values, loops in 60 digits, merging, invariances."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.decompositions.log_probs import kl_divergence, log_softmax, log_sum_exp
from bvalign.analysis.decompositions.log_statistics import jackknife_shift, log_moments, merge_logs
from bvalign.analysis.decompositions.other_losses import (
    CrossEntropy,
    cross_entropy,
    decompose_logs,
    vote_counts,
    zero_one,
)
from tests import reference_losses as reference
from tests.reference_losses import ensemble

FEW = settings(max_examples=12, deadline=None)
KL_FIELDS = CrossEntropy._fields[:5]


@pytest.mark.parametrize("row", reference.GOLDEN["ensembles"], ids=lambda row: row["id"])
def test_golden(row):
    logits = torch.tensor(row["logits"]).unsqueeze(1)
    target = torch.tensor([row["y"]])
    expect = row["expect"]
    values = cross_entropy(logits, target)
    assert values.kl_risk.item() == pytest.approx(float(expect["kl_risk"]), rel=1e-13)
    assert values.kl_bias.item() == pytest.approx(float(expect["kl_bias"]), rel=1e-13)
    variance = float(expect["kl_vari"])
    assert values.kl_variance.item() == pytest.approx(variance, rel=1e-13, abs=1e-30)
    votes = zero_one(vote_counts(logits.argmax(dim=-1), row["K"]), target)
    assert votes.main.item() == int(expect["main"])
    assert votes.bias_01.item() == int(expect["bias01"])
    assert votes.error_rate.item() == pytest.approx(float(expect["err"]), rel=1e-15)
    assert votes.variance_01.item() == pytest.approx(float(expect["var01"]), rel=1e-15)
    if row["M"] > 1:
        disagreement = float(expect["disagreement_u"])
        assert votes.disagreement.item() == pytest.approx(disagreement, rel=1e-15)


@FEW
@given(st.integers(2, 6), st.integers(2, 5), st.floats(0, 60), st.integers(0, 2**32))
def test_cross_entropy_is_its_definition(members, classes, margin, seed):
    logits, target = ensemble(members, 3, classes, margin, seed)
    values = cross_entropy(logits, target)
    for n, label in enumerate(target.tolist()):
        sample = logits[:, n].tolist()
        risk, bias, variance = reference.cross_entropy(sample, label)
        _, bias_jackknife, variance_jackknife = reference.jackknife(
            reference.cross_entropy, sample, label
        )
        expected = (risk, bias, variance, bias_jackknife, variance_jackknife)
        for field, value in zip(KL_FIELDS, expected, strict=True):
            # The jackknifed bias is a difference of the two before it.
            scale = bias + variance_jackknife if field == "kl_bias_jackknife" else value
            error = abs(getattr(values, field)[n].item() - value)
            assert error < 1e-12 * scale, field


@FEW
@given(st.integers(1, 6), st.integers(2, 5), st.floats(0, 700), st.integers(0, 2**32))
def test_risk_is_bias_plus_variance(members, classes, margin, seed):
    values = cross_entropy(*ensemble(members, 3, classes, margin, seed))
    torch.testing.assert_close(
        values.kl_bias + values.kl_variance, values.kl_risk, rtol=1e-12, atol=0
    )
    assert (values.kl_variance >= 0).all()


def test_variance_of_nearly_equal_confident_members():
    """Where -logsumexp of the mean log-probabilities would be off by 2e-3."""
    logits = 1e-6 * ensemble(5, 3, 10, 0, seed=0)[0]
    logits[..., 4] += 60
    values = cross_entropy(logits, torch.full((3,), 4))
    for n in range(3):
        variance = reference.cross_entropy(logits[:, n].tolist(), 4)[2]
        assert abs(values.kl_variance[n].item() / variance - 1) < 1e-8


def test_log_softmax_keeps_the_digits_of_confidence():
    log_prob = log_softmax(torch.tensor([60.0, 0.0, 0.0]))[0].item()
    assert log_prob == pytest.approx(-2 * math.exp(-60), rel=1e-15)


def test_log_sum_exp_keeps_the_digits_next_to_zero():
    found = log_sum_exp(torch.tensor([-3e-30, -70.0, -71.0], dtype=torch.float64)).item()
    assert found == pytest.approx(math.exp(-70) + math.exp(-71) - 3e-30, rel=1e-15)


def test_the_jackknife_survives_overflow():
    """Without one of two members the other's odds count twice: e^1600 overflows."""
    sample = [[800.0, 0.0, 1.0], [-800.0, 0.0, 2.0]]
    values = cross_entropy(torch.tensor(sample).double().unsqueeze(1), torch.tensor([0]))
    _, _, variance = reference.jackknife(reference.cross_entropy, sample, 0)
    assert values.kl_variance_jackknife.item() == pytest.approx(float(variance), rel=1e-12)


def test_variances_without_a_probability_are_undefined():
    logits = torch.tensor([[[0.0, 1.0, -math.inf]], [[0.0, 2.0, 1.0]]])
    values = cross_entropy(logits, torch.tensor([0]))
    assert values.kl_risk.isfinite().all()
    assert values.kl_variance.isnan().all()
    assert values.kl_variance_jackknife.isnan().all()


def test_kl_divergence_survives_overflow():
    log_p, log_q = log_softmax(torch.tensor([[[0.0, 1000.0]], [[1000.0, 0.0]]]))
    assert kl_divergence(log_p, log_q).item() == pytest.approx(1000, rel=1e-12)


def test_one_member():
    values = cross_entropy(*ensemble(1, 5, 4, 3.0, seed=1))
    assert (values.kl_variance == 0).all()
    assert values.kl_bias_jackknife.isnan().all()
    assert values.kl_variance_jackknife.isnan().all()


@FEW
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.floats(0, 60), st.integers(0, 2**32))
def test_members_merged_in_any_split_are_all_at_once(sizes, margin, seed):
    sizes = [*sizes, 1, 2]
    logits, target = ensemble(sum(sizes), 5, 4, margin, seed)
    blocks = logits.split(sizes)
    moments = log_moments(blocks[-1])
    for block in blocks[:-1]:  # some have no members
        moments = merge_logs(log_moments(block), moments)
    shift = sum(jackknife_shift(block, moments) for block in blocks)
    streamed = decompose_logs(moments, target, shift)
    at_once = cross_entropy(logits, target)
    for field in KL_FIELDS:
        torch.testing.assert_close(
            getattr(streamed, field), getattr(at_once, field), rtol=1e-10, atol=1e-32
        )
    assert torch.equal(streamed.count, at_once.count)
    assert decompose_logs(moments, target).kl_bias_jackknife.isnan().all()


def test_permutations():
    logits, target = ensemble(3, 5, 4, 2.0, seed=2)
    generator = torch.Generator().manual_seed(0)
    members, samples, classes = (torch.randperm(n, generator=generator) for n in logits.shape)
    inverse = classes.argsort()
    moved = logits[members][:, samples][..., classes]
    before, after = cross_entropy(logits, target), cross_entropy(moved, inverse[target[samples]])
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old[samples], rtol=1e-12, atol=0)
    old = zero_one(vote_counts(logits.argmax(-1), 4), target)
    new = zero_one(vote_counts(moved.argmax(-1), 4), inverse[target[samples]])
    assert torch.equal(new.error_rate, old.error_rate[samples])
    assert torch.equal(new.disagreement, old.disagreement[samples])


def test_jackknife_removes_most_of_the_bias():
    """Over all draws of 4 members from 3 equally likely ones, of one sample; exact averages."""
    logits, target = ensemble(3, 1, 4, 1.0, seed=3)
    truth = cross_entropy(logits, target)
    draws = [cross_entropy(logits[list(d)], target) for d in itertools.product(range(3), repeat=4)]
    plug_in = torch.stack([d.kl_variance for d in draws]).mean()
    corrected = torch.stack([d.kl_variance_jackknife for d in draws]).mean()
    assert plug_in < truth.kl_variance.item()
    assert abs(corrected - truth.kl_variance.item()) < 0.4 * (truth.kl_variance.item() - plug_in)
    risk = torch.stack([d.kl_risk for d in draws]).mean()
    assert risk.item() == pytest.approx(truth.kl_risk.item(), rel=1e-12)


@FEW
@given(st.integers(1, 7), st.integers(2, 4), st.integers(0, 2**32))
def test_zero_one_is_its_definition(members, classes, seed):
    votes = torch.randint(classes, (members, 5), generator=torch.Generator().manual_seed(seed))
    target = torch.arange(5) % classes
    values = zero_one(vote_counts(votes, classes), target)
    for n, column in enumerate(votes.T.tolist()):
        expected = reference.zero_one(column, target[n].item(), classes)
        for value, number in zip(values, expected, strict=False):
            assert value[n].item() == pytest.approx(float(number), abs=1e-15)
        if members > 1:
            expected = float(reference.disagreement(column))
            assert values.disagreement[n].item() == pytest.approx(expected, abs=1e-15)
        else:
            assert values.disagreement[n].isnan()
    torch.testing.assert_close(values.bias_01 + values.net_variance_01, values.error_rate)


def test_votes_of_disjoint_members_add_up():
    votes = torch.randint(4, (6, 5), generator=torch.Generator().manual_seed(0))
    parts = vote_counts(votes[:2], 4) + vote_counts(votes[2:], 4)
    assert torch.equal(parts, vote_counts(votes, 4))


def test_ties_go_to_the_lowest_class():
    votes = torch.tensor([[[1.0, 7.0, 7.0]], [[2.0, 2.0, 0.0]]]).argmax(dim=-1)
    assert votes.flatten().tolist() == [1, 0]
    assert zero_one(vote_counts(votes, 3), torch.tensor([1])).main.item() == 0


@pytest.mark.parametrize("vote", [-1, 3])
def test_votes_must_be_class_ids(vote):
    with pytest.raises(ValueError, match=re.escape("class ids from 0 to 2, got")):
        vote_counts(torch.tensor([[vote, 1]]), 3)
