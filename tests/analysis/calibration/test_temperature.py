"""Temperature scaling: known temperatures, a stationary point, calibration of mean or members."""

import math
import re

import pytest
import torch

from bvalign.analysis.calibration.gap import gap_identity
from bvalign.analysis.calibration.temperature import temperature_effect
from bvalign.analysis.calibration.temperature_fit import (
    _slopes,
    fit_temperature,
    nll_of_mean,
    nll_of_members,
)

OBJECTIVES = (nll_of_mean, nll_of_members)


def log_probs(logits, target):
    """Of the labels: (members, samples)."""
    return logits.log_softmax(dim=-1)[:, torch.arange(len(target)), target]


def noisy_members(seed, scale=1.0):
    """Five members around common logits, and labels drawn from their mean probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(1, 3000, 4, generator=generator, dtype=torch.float64)
    logits = logits + torch.randn(5, 3000, 4, generator=generator, dtype=torch.float64)
    mean = logits.softmax(dim=-1).mean(dim=0)
    return scale * logits, torch.multinomial(mean, 1, generator=generator).squeeze(1)


def test_objectives_by_hand():
    logits = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]]).log()
    target = torch.tensor([0])
    assert nll_of_mean(log_probs(logits, target)).item() == pytest.approx(
        -math.log((0.75 + 0.5) / 2)
    )
    expected = -(math.log(0.75) + math.log(0.5)) / 2
    assert nll_of_members(log_probs(logits, target)).item() == pytest.approx(expected)


@pytest.mark.parametrize("nll", OBJECTIVES)
@pytest.mark.parametrize("confidence", [0.6, 0.9, 1 - 1e-12])
def test_temperature_turns_confidence_into_accuracy(nll, confidence):
    """Two classes, one confidence, right for 3 of 4 samples: p(T) = 3/4."""
    logit = math.log(confidence / (1 - confidence))
    logits = torch.tensor([logit, 0.0], dtype=torch.float64).expand(2, 4, 2)
    temperature = fit_temperature(logits, torch.tensor([0, 0, 1, 0]), nll=nll)
    assert temperature == pytest.approx(logit / math.log(3), rel=1e-10)


@pytest.mark.parametrize("nll", OBJECTIVES)
@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_fit_is_the_minimum_and_follows_the_scale(nll, scale):
    logits, target = noisy_members(seed=0, scale=scale)
    temperature = fit_temperature(logits, target, nll=nll)
    unscaled = fit_temperature(logits / scale, target, nll=nll)
    assert temperature == pytest.approx(scale * unscaled, rel=1e-9)
    temperatures = temperature * torch.tensor([1, 0.5, 0.99, 1.01, 2])
    least, *others = (nll(log_probs(logits / t, target)) for t in temperatures)
    assert all(least < other for other in others)


@pytest.mark.parametrize("nll", OBJECTIVES)
def test_derivatives_are_those_of_the_objective(nll):
    logits, target = noisy_members(seed=2)

    def objective(log_t):
        return float(nll(log_probs(logits / math.exp(log_t), target)))

    low, at, high = (objective(0.3 + step) for step in (-1e-3, 0, 1e-3))
    slope, curvature = _slopes(nll, logits, target, 0.3)
    assert slope == pytest.approx((high - low) / 2e-3, rel=1e-5)
    assert curvature == pytest.approx((high - 2 * at + low) / 1e-6, rel=1e-5)


def test_temperature_of_the_mean_calibrates_the_mean():
    """Labels come from the mean, so its temperature is one; members are overconfident."""
    logits, target = noisy_members(seed=1, scale=3.0)
    of_mean = fit_temperature(logits, target)
    of_members = fit_temperature(logits, target, nll=nll_of_members)
    assert of_mean == pytest.approx(3.0, rel=0.1)
    assert of_members > 1.2 * of_mean


def test_effect_on_the_gap():
    """Fitted on one half, seen on the other: the residual was many standard errors from 0."""
    logits, target = noisy_members(seed=2, scale=3.0)
    temperature = fit_temperature(logits[:, ::2], target[::2])
    effect = temperature_effect(logits[:, 1::2], target[1::2], temperature)
    before, after = effect.before.calibration_residual, effect.after.calibration_residual
    error = before.std() / len(before) ** 0.5
    assert before.mean() > 10 * error
    assert abs(after.mean()) < 3 * error
    for old, new, change in zip(*effect, strict=True):
        torch.testing.assert_close(change, new - old, rtol=1e-12, atol=1e-16)
    for part, scaled in ((effect.before, 1.0), (effect.after, temperature)):
        expected = gap_identity(logits[:, 1::2].double() / scaled, target[1::2])
        for value, own in zip(part, expected, strict=True):
            torch.testing.assert_close(value, own, rtol=1e-12, atol=1e-16)


def test_temperature_one_changes_nothing():
    effect = temperature_effect(*noisy_members(seed=3), 1.0)
    assert not any(values.any() for values in effect.change)


@pytest.mark.parametrize("nll", OBJECTIVES)
@pytest.mark.parametrize("shift", [0, 1])
def test_all_right_or_all_wrong_has_no_best_temperature(nll, shift):
    logits = 5 * torch.eye(3).expand(2, 3, 3)
    target = torch.arange(3).roll(shift)
    with pytest.raises(ValueError, match=re.escape("no minimum at temperatures from 0.015625")):
        fit_temperature(logits, target, nll=nll)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=re.escape(f"finite and positive, got {temperature}")):
        temperature_effect(*noisy_members(seed=4), temperature)
