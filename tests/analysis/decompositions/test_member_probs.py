"""Probabilities, logarithms, votes and uncertainties of members, against their definitions."""

import mpmath
import pytest
import torch

from bvalign.analysis.decompositions import member_probs, softmax
from bvalign.analysis.decompositions.log_probs import log_softmax
from tests.ensembles import random_ensemble


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 7, 2), (0, 5, 4), (2, 0, 3), (4, 9, 1)])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_values_are_those_of_the_separate_functions(shape, scale):
    logits, _ = random_ensemble(*shape, scale=scale)
    found = member_probs(logits)
    torch.testing.assert_close(found.probs, softmax(logits), rtol=1e-14, atol=0)
    torch.testing.assert_close(found.log_probs, log_softmax(logits), rtol=1e-14, atol=0)
    assert torch.equal(found.votes, logits.argmax(dim=-1))
    expected = 1 - softmax(logits).square().sum(dim=-1)
    torch.testing.assert_close(found.uncertainty, expected, rtol=0, atol=1e-15)


def test_equal_logits_vote_for_the_lowest_class():
    found = member_probs(torch.tensor([[[0.0, 2.0, 2.0]]]))
    assert found.votes.tolist() == [[1]]
    assert found.probs[0, 0, 1] == found.probs[0, 0, 2]


@pytest.mark.parametrize("margin", [0, 1, 30, 70])
def test_digits_of_confident_members(margin):
    found = member_probs(torch.tensor([[[margin, 0.0, 1.0]]], dtype=torch.float64))
    with mpmath.workdps(60):
        terms = [mpmath.exp(z) for z in (margin, 0, 1)]
        probs = [term / sum(terms) for term in terms]
        uncertainty = float(1 - sum(p**2 for p in probs))
        log_probs = [float(mpmath.log(p)) for p in probs]
    assert found.uncertainty.item() == pytest.approx(uncertainty, rel=1e-14, abs=0)
    for k, (p, log_prob) in enumerate(zip(probs, log_probs, strict=True)):
        assert found.probs[0, 0, k].item() == pytest.approx(float(p), rel=1e-14, abs=0)
        assert found.log_probs[0, 0, k].item() == pytest.approx(log_prob, rel=1e-14, abs=0)


def test_a_class_that_a_member_excludes():
    found = member_probs(torch.tensor([[[0.0, -torch.inf]]]))
    assert found.probs.tolist() == [[[1.0, 0.0]]]
    assert found.log_probs.tolist() == [[[0.0, -torch.inf]]]
    assert found.uncertainty.item() == 0
