"""Two constants for an ensemble: definition, another search, influence, invariances."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bvalign.analysis.calibration import Scales, fit_scales, fit_temperature, scaled_mean

EYE, ONE = torch.eye(2).double(), torch.ones(2, 1).double()


def ensemble(seed=0, *, members=5, samples=600, scale=(0.6, 1.4)):
    """Logits of members, and labels drawn from the probabilities with these scales."""
    rng = np.random.default_rng(seed)
    common = 3 * rng.normal(size=(samples, 4))
    z = common + 1.5 * rng.normal(size=(members, samples, 4))
    probs = mean_probs(z, *scale)
    labels = (probs.cumsum(axis=1) > rng.random((samples, 1))).argmax(axis=1)
    return torch.from_numpy(z), torch.from_numpy(labels)


def mean_probs(z, a, b):
    """mean_m softmax(a z̄ + b (z_m - z̄)), term by term."""
    total = 0.0
    for member in z:
        s = a * z.mean(axis=0) + b * (member - z.mean(axis=0))
        e = np.exp(s - s.max(axis=1, keepdims=True))
        total = total + e / e.sum(axis=1, keepdims=True)
    return total / len(z)


def best_by_search(logits, target, free):
    z, y, n = logits.numpy(), target.numpy(), len(target)

    def loss(x):
        log = free.numpy() @ x
        nll = -np.log(mean_probs(z, *np.exp(log))[np.arange(n), y]).mean()
        return nll + (log**2).sum() / 2 / n

    found = minimize(loss, np.zeros(free.shape[1]), method="Nelder-Mead", options={"xatol": 1e-7})
    return np.exp(free.numpy() @ found.x)


def test_mean_of_scaled_members():
    logits, _ = ensemble(samples=7)
    lacking = torch.cat([logits, torch.full((5, 7, 1), -torch.inf)], dim=-1)
    expected = mean_probs(logits.numpy(), 0.7, 1.3)
    found = scaled_mean(lacking, Scales(0.7, 1.3)).exp()
    np.testing.assert_allclose(found[:, :4], expected, rtol=1e-12)
    assert (found[:, 4] == 0).all()


@pytest.mark.parametrize("free", [EYE, ONE], ids=["two", "one"])
@pytest.mark.parametrize("seed", range(3))
def test_scales_are_those_of_another_search(free, seed):
    logits, target = ensemble(seed, samples=300)
    found = fit_scales(logits, target, free).scales
    assert found == pytest.approx(best_by_search(logits, target, free), rel=3e-4)


def test_one_temperature_is_that_of_temperature_scaling():
    logits, target = ensemble(samples=30_000)  # so that the prior hardly counts
    found = fit_scales(logits, target, ONE).scales
    assert found.agree == found.disagree
    assert 1 / found.agree == pytest.approx(fit_temperature(logits, target), rel=1e-3)


def test_one_member_has_nothing_to_disagree_on():
    logits, target = ensemble(members=1, scale=(0.5, 1.0))
    found = fit_scales(logits, target, EYE).scales
    assert found.disagree == pytest.approx(1)
    assert found.agree == pytest.approx(fit_scales(logits, target, EYE[:, :1]).scales.agree)


def test_constants_that_a_softmax_leaves_open_do_not_matter():
    logits, target = ensemble()
    moved = logits + torch.randn(5, 600, 1)
    assert fit_scales(moved, target, EYE).scales == pytest.approx(
        fit_scales(logits, target, EYE).scales, rel=1e-5
    )


def test_influence_is_what_a_sample_that_counts_twice_changes():
    logits, target = ensemble()
    whole = fit_scales(logits, target, EYE)
    for row in (0, 17):
        again = torch.cat([torch.arange(600), torch.tensor([row])])
        twice = fit_scales(logits[:, again], target[again], EYE).scales
        change = np.log(twice) - np.log(whole.scales)
        np.testing.assert_allclose(change * 601, whole.influence[row], rtol=0.1, atol=0.01)


def test_all_right_has_finite_scales():
    logits, _ = ensemble()
    scales = fit_scales(logits, scaled_mean(logits, Scales(1, 1)).argmax(dim=-1), EYE).scales
    assert 1 < scales.agree < 100
    assert 0 < scales.disagree < 100
