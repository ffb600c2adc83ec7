import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions.squared_loss import (
    add_member,
    decompose,
    empty_moments,
    merge,
    moments,
    pair_products,
)
from tests import reference
from tests.ensembles import random_ensemble
from tests.reference import check_golden


def test_golden_ensembles_at_once_and_streamed_in_any_order(golden):
    for case in golden["ensembles"]:
        logits = torch.tensor(case["logits"]).unsqueeze(1)
        target = torch.tensor([case["y"]])
        check_golden(decompose(moments(logits, target), target), case["expect"], case["id"])
        for seed in range(3):
            order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed))
            state = empty_moments(1, logits.shape[-1])
            for member in order:
                state = merge(state, moments(logits[member].unsqueeze(0), target), target)
            check_golden(decompose(state, target), case["expect"], case["id"])
        half = len(logits) // 2
        if half:
            parts = (moments(part, target) for part in (logits[:half], logits[half:]))
            check_golden(decompose(merge(*parts, target), target), case["expect"], case["id"])


def test_equals_the_reference():
    logits, target = random_ensemble()
    found = decompose(moments(logits, target), target)
    for name, expected in reference.bias_variance(logits.numpy(), target.numpy()).items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, err_msg=name)


def test_two_members_by_hand():
    # members say (1/2, 1/2) and (3/4, 1/4), the label is 0: mean residual (-3/8, 3/8)
    logits = torch.tensor([[[0.0, 0.0]], [[np.log(3.0), 0.0]]])
    found = decompose(moments(logits, torch.tensor([0])), torch.tensor([0]))
    assert float(found.bias_sq) == pytest.approx(2 * (3 / 8) ** 2, rel=1e-7)
    assert float(found.variance) == pytest.approx(2 * (1 / 8) ** 2, rel=1e-7)
    assert float(found.bias_sq_unbiased) == pytest.approx(2 * (1 / 2) * (1 / 4), rel=1e-7)


def test_identities_and_bounds():
    logits, target = random_ensemble(members=7, samples=200, scale=6)
    d = decompose(moments(logits, target), target)
    torch.testing.assert_close(d.bias_sq + d.variance, d.risk, rtol=1e-14, atol=0)
    torch.testing.assert_close(d.bias_sq_unbiased + d.variance_unbiased, d.risk, rtol=1e-12, atol=0)
    assert (d.bias_sq_unbiased > 0).all()
    assert (d.variance <= 6 * d.bias_sq * (1 + 1e-12)).all()


@pytest.mark.parametrize(("members", "classes"), [(2, 2), (7, 3), (40, 10)])
@pytest.mark.parametrize("scale", [0.5, 3.0, 30.0])
def test_geometry_bounds_plug_in_values(members, classes, scale):
    """The feasible region of the figures, from variance <= 1 - ‖p̄‖².

    A wrong mean has a squared bias of at least 1/2, a right one of at most (K-1)/K.
    """
    logits, target = random_ensemble(members, 500, classes, scale, seed=members)
    d = decompose(moments(logits, target), target)
    ratio = (classes - 1) / classes
    curve = 2 * (d.bias_sq * ratio).sqrt() - d.bias_sq
    feasible = torch.where(d.bias_sq <= 1 / ratio, curve, 2 - d.bias_sq)
    assert (d.variance <= feasible + 1e-12).all()
    assert (d.bias_sq[~d.correct] >= 0.5 - 1e-12).all()
    assert (d.bias_sq[d.correct] <= ratio + 1e-12).all()


def test_permutations_change_nothing():
    logits, target = random_ensemble()
    base = decompose(moments(logits, target), target)
    samples, classes = torch.tensor([4, 2, 0, 1, 3]), torch.tensor([2, 0, 3, 1])
    where = classes.argsort()
    others = {
        "members": decompose(moments(logits[[2, 0, 1]], target), target),
        "classes": decompose(moments(logits[..., classes], where[target]), where[target]),
    }
    for name, other in others.items():
        for a, b in zip(base[:5], other[:5], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=0, msg=name)
    permuted = decompose(moments(logits[:, samples], target[samples]), target[samples])
    for a, b in zip(base, permuted, strict=True):
        assert torch.equal(a[samples], b)


def test_confident_samples_keep_their_digits():
    # all members at margin 60 with the same relative spread: variance / bias_sq is that spread's
    margins = torch.tensor([60.0, 60.5, 61.0], dtype=torch.float64)
    logits = torch.stack([margins, torch.zeros(3, dtype=torch.float64)], dim=-1).unsqueeze(1)
    found = decompose(moments(logits, torch.tensor([0])), torch.tensor([0]))
    a = torch.exp(-margins)
    assert float(found.bias_sq) == pytest.approx(2 * float(a.mean()) ** 2, rel=1e-12)
    assert float(found.variance) == pytest.approx(2 * float(a.var(correction=0)), rel=1e-12)
    assert float(found.bias_sq) < 1e-51


def test_no_members_change_nothing():
    logits, target = random_ensemble()
    some = moments(logits, target)
    merged = merge(moments(logits[:0], target), some, target)
    assert all(torch.equal(a, b) for a, b in zip(merged, some, strict=True))


def one_by_one(logits, target):
    state = empty_moments(*logits.shape[1:])
    for member in logits:
        state = add_member(state, member.unsqueeze(0), target)
    return state


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 6, 2), (4, 1, 3), (9, 7, 10)])
@pytest.mark.parametrize("piece", [8, 2**18])
def test_members_added_one_by_one_equal_the_reference(monkeypatch, shape, piece):
    monkeypatch.setattr("bvalign.analysis.decompositions.pieces.PIECE", piece)
    logits, target = random_ensemble(*shape)
    found = decompose(one_by_one(logits, target), target)
    assert found.count.tolist() == [shape[0]] * shape[1]
    if shape[0] > 1:
        for name, expected in reference.bias_variance(logits.numpy(), target.numpy()).items():
            np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("margin", [0.0, 60.0])
@pytest.mark.parametrize("right", [True, False])
def test_an_added_member_is_a_merged_one(margin, right):
    logits, target = random_ensemble(members=6)
    largest = target if right else (target + 1) % 4
    logits[:, torch.arange(5), largest] += margin
    before = moments(logits[:5], target)
    kept = [field.clone() for field in before]
    found = add_member(before, logits[5:], target)
    expected = merge(before, moments(logits[5:], target), target)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=0)
    assert all(map(torch.equal, before, kept))


@pytest.mark.parametrize("members", [0, 1, 2, 5, 8, 13])
def test_pair_products_are_those_of_all_pairs(members):
    residuals = torch.rand(members, 3, 4, dtype=torch.float64)
    expected = torch.zeros(3, dtype=torch.float64)
    for b in range(members):
        for a in range(b):
            expected += (residuals[a] * residuals[b]).sum(dim=-1)
    torch.testing.assert_close(pair_products(residuals), expected, rtol=1e-13, atol=0)
