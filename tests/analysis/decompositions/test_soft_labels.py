"""Noise + squared bias + variance against soft labels."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions.soft_labels import decompose_soft_labels
from bvalign.analysis.decompositions.squared_loss import decompose, moments, softmax


def ensemble(members=3, samples=5, classes=4):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(members, samples, classes, generator=generator, dtype=torch.float64)
    answers = torch.randint(0, 9, (samples, classes), generator=generator)
    answers[:, 0] += 1
    return logits, answers, torch.zeros(samples, dtype=torch.int64)


def test_the_three_parts_are_the_risk_under_the_answers():
    logits, answers, target = ensemble()
    found = decompose_soft_labels(moments(logits, target), answers)
    probs = softmax(logits).numpy()
    for sample in range(5):
        label_probs = answers[sample].numpy() / answers[sample].numpy().sum()
        mean = probs[:, sample].mean(axis=0)
        risk = sum(
            label_probs[k] * np.mean([((p - np.eye(4)[k]) ** 2).sum() for p in probs[:, sample]])
            for k in range(4)
        )
        assert found.risk[sample].item() == pytest.approx(risk, rel=1e-12)
        assert found.noise[sample].item() == pytest.approx(1 - (label_probs**2).sum(), rel=1e-12)
        expected = ((mean - label_probs) ** 2).sum()
        assert found.bias_sq[sample].item() == pytest.approx(expected, rel=1e-12)


def test_one_answer_for_all_is_the_usual_decomposition_to_the_last_digits():
    logits = torch.tensor([[[40.0, 0.0, 1.0]], [[42.0, 0.0, 0.0]]], dtype=torch.float64)
    target = torch.tensor([0])
    state = moments(logits, target)
    found = decompose_soft_labels(state, torch.tensor([[50, 0, 0]]))
    usual = decompose(state, target)
    assert found.noise.item() == found.noise_unbiased.item() == 0
    torch.testing.assert_close(found.bias_sq, usual.bias_sq, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.bias_sq_unbiased, usual.bias_sq_unbiased, rtol=1e-9, atol=0)


def test_unbiased_values_are_right_on_average_over_people_and_members():
    rng = np.random.default_rng(0)
    label_probs, repetitions, people, members = np.array([0.6, 0.3, 0.1]), 4000, 5, 4
    centre = np.array([1.0, 0.5, 0.0])
    logits = torch.from_numpy(centre + rng.standard_normal((members, repetitions, 3)))
    answers = torch.from_numpy(rng.multinomial(people, label_probs, size=repetitions))
    state = moments(logits, torch.zeros(repetitions, dtype=torch.int64))
    found = decompose_soft_labels(state, answers)
    many = softmax(torch.from_numpy(centre + rng.standard_normal((10**6, 3)))).numpy()
    expected = {
        "noise_unbiased": 1 - (label_probs**2).sum(),
        "bias_sq_unbiased": ((many.mean(axis=0) - label_probs) ** 2).sum(),
    }
    for name, value in expected.items():
        values = getattr(found, name)
        error = float(values.std() / repetitions**0.5)
        assert abs(float(values.mean()) - value) < 4 * error, name
    assert float(found.noise.mean()) < expected["noise_unbiased"] - 0.05


def test_single_answers_and_shapes_are_checked():
    logits, answers, target = ensemble()
    state = moments(logits, target)
    answers[1] = torch.tensor([1, 0, 0, 0])
    assert decompose_soft_labels(state, answers).noise_unbiased.isnan().tolist() == [
        False,
        True,
        False,
        False,
        False,
    ]
    answers[1] = 0
    with pytest.raises(ValueError, match="every sample needs an answer, 1 have none"):
        decompose_soft_labels(state, answers)
    with pytest.raises(ValueError, match=r"like the members' \(5, 4\), got \(5, 3\)"):
        decompose_soft_labels(state, answers[:, :3])
