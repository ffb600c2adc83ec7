"""Bounds from top-k logits hold for the true values, are nearly reached, and are exact at k = K."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.top_k.known import known_of
from bvalign.analysis.top_k.squared import relative_to, squared
from bvalign.top_k import dense
from tests.analysis.top_k.ensembles import bounds_of, kept, outside, true_values


def ensemble(seed, shape, scale, *, ties):
    """Logits of members that differ, and labels of which half are the likely ones."""
    random = torch.Generator().manual_seed(seed)
    base = torch.randn(shape[1:], generator=random)
    noise = torch.randn(shape, generator=random) * torch.rand((), generator=random)
    logits = (scale * (base + noise)).float()
    if ties:
        logits = logits.round()
    if seed % 5 == 0:
        logits[..., 0] += 60  # members that are all but sure
    likely = logits.mean(dim=0).argmax(dim=-1)
    any_class = torch.randint(shape[2], likely.shape, generator=random)
    return logits, torch.where(torch.arange(shape[1]) % 2 == 0, likely, any_class)


@given(st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_true_values_lie_within_their_bounds(data):
    num_classes = data.draw(st.integers(3, 40))
    number = data.draw(st.integers(1, num_classes))
    members, seed = data.draw(st.integers(1, 7)), data.draw(st.integers(0, 10**6))
    scale = data.draw(st.sampled_from([0.1, 1.0, 3.0, 10.0, 40.0]))
    ties = data.draw(st.booleans())
    logits, target = ensemble(seed, (members, 6, num_classes), scale, ties=ties)
    with_label = number > 1 and data.draw(st.booleans())
    top = kept(logits, number, target if with_label else None)
    labelled, unlabelled, (undecided, label_outside) = bounds_of(top, target)
    for completed in (logits, dense(top)):
        values, others = true_values(completed, target)
        assert outside(values, labelled) == []
        assert outside(others, unlabelled) == []
    assert not (with_label and label_outside)
    if number == num_classes:
        assert undecided == label_outside == 0


def test_with_all_classes_nothing_is_open():
    logits, target = ensemble(3, (4, 20, 9), 3.0, ties=False)
    labelled, unlabelled, _ = bounds_of(kept(logits, 9, target), target)
    values, others = true_values(logits, target)
    for bounds, exact in ((labelled, values), (unlabelled, others)):
        for name, (low, high) in bounds.items():
            size = exact[name].double().abs().amax()
            left_out = "jackknife" in name or name.endswith("_error")  # M times a difference
            for end in (low, high):
                room = 1e-12 * size * (4 if left_out else 1)
                torch.testing.assert_close(end, exact[name].double(), rtol=0, atol=room)


def completed(where, members=3, num_classes=400, others=100.0):
    """One sample whose members keep the same three classes; `where(m)` are those of the rest.

    The rest of each is the probability 0.2 of 100 classes at the limit, 0.002.
    """
    logits = torch.full((members, 1, num_classes), -800.0).double()
    logits[..., :3] = torch.tensor([0.798, 0.002, 0.002]).log().double()
    for member in range(members):
        at = where(member)
        logits[member, 0, at] = math.log(0.2 * (0.99) / len(at))
    return logits


@pytest.mark.parametrize(
    ("where", "reached"),
    [
        (lambda m: range(10, 110), {"bias_sq": 1, "bias_sq_unbiased": 1, "variance": 0}),
        (lambda m: range(10 + 100 * m, 110 + 100 * m), {"variance": 1, "kl_variance": 1}),
        (lambda m: range(3, 400), {"bias_sq": 0, "variance": 0, "risk": 0, "kl_variance": 0}),
    ],
    ids=["together", "apart", "even"],
)
def test_bounds_are_nearly_reached(where, reached):
    logits, target = completed(where), torch.tensor([0])
    top = kept(logits, 3, target)
    bounds, *_ = bounds_of(top, target)
    values, _ = true_values(logits, target)
    assert outside(values, bounds) == []
    for name, end in reached.items():
        low, high = bounds[name]
        value = values[name]
        distance = (value - (low, high)[end]).abs() / (high - low)
        assert distance < 0.05, (name, distance)


def test_a_tiny_rest_keeps_its_digits():
    logits = torch.tensor([[[70.0, 0.0, -1.0, -2.0, -2.5]], [[69.0, 0.0, -0.5, -3.0, -2.0]]])
    target = torch.tensor([0])
    top = kept(logits.double(), 2, target)
    known = known_of(top, target[:, None])
    one = torch.ones(1, 1).double()
    bounds = squared(known, relative_to(known, one), torch.full((2,), 0.5).double())
    mpmath.mp.dps = 60
    probs = []
    for member in logits[:, 0].tolist():
        terms = [mpmath.exp(z) for z in member]
        probs.append([term / sum(terms) for term in terms])
    mean = [sum(p) / 2 for p in zip(*probs, strict=True)]
    bias_sq = (mean[0] - 1) ** 2 + sum(p**2 for p in mean[1:])
    variance = sum((p - m) ** 2 for one in probs for p, m in zip(one, mean, strict=True)) / 2
    for found, true in ((bounds.bias_sq, bias_sq), (bounds.variance, variance)):
        assert 0 < found.low.item() <= true <= found.high.item() < 3 * true < 1e-59


def test_a_class_that_is_not_kept_may_be_the_prediction():
    logits = torch.tensor([[[1.0, 0.9, 0.0]], [[0.0, 0.9, 1.0]]])
    bounds, _, (undecided, label_outside) = bounds_of(kept(logits, 1), torch.tensor([1]))
    assert (undecided, label_outside) == (1, 1)
    assert [end.item() for end in bounds["correct"]] == [0, 1]
    assert bounds["kl_risk"][1].item() == math.inf
