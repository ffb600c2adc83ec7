"""The model of noisy labels: its weights, and that the fit is the maximum that it says."""

import math

import numpy as np
import pytest
import torch

from bvalign.decisions import noisy_labels
from bvalign.decisions.noisy_labels import SPREAD, evidence, fit_label_model, posterior
from tests.analysed import analysed
from tests.decisions.noisy_data import next_class, noisy_analysis, noisy_data, symmetric


def mean_probs(logits):
    return logits.softmax(dim=-1).mean(dim=0)


def likelihoods(probs, label, noise, sharpness):
    """P(y) of each sample, from all classes, one after the other."""
    found = []
    for p, y in zip(probs.numpy(), label.tolist(), strict=True):
        q = p ** sharpness[p.argmax()]
        q /= q.sum()
        found.append(sum(q[t] * noise[t, y] for t in range(len(p))))
    return np.array(found)


def objective(probs, label, noise, sharpness, imagined):
    """What EM maximises; the prior's centre is that of the fit, whose noise is given."""
    wrong = imagined["rate"]
    centre = symmetric(len(noise), wrong)
    total = np.log(likelihoods(probs, label, noise, sharpness)).sum()
    total += imagined["labels"] * (centre * np.log(noise)).sum()
    return total - ((sharpness - sharpness.mean()) ** 2).sum() / (2 * SPREAD**2)


def test_with_few_classes_the_weights_are_those_of_all_classes():
    logits, _, label = noisy_data(samples=40, classes=4, noise=symmetric(4, 0.2))
    found = evidence(analysed(logits, label), torch.arange(40))
    noise, sharpness = next_class(4, 0.3) * 0.9 + 0.025, np.array([0.5, 1.0, 2.0, 1.5])
    model = noisy_labels.LabelModel(torch.from_numpy(noise), torch.from_numpy(sharpness))
    weights, probs = posterior(found, model), mean_probs(logits)
    expected = likelihoods(probs, label, noise, sharpness)
    assert weights.log_likelihood == pytest.approx(np.log(expected).mean(), rel=1e-6)
    for row, (p, y) in enumerate(zip(probs.numpy(), label.tolist(), strict=True)):
        q = p ** sharpness[p.argmax()]
        right = q[y] / q.sum() * noise[y, y] / expected[row]
        assert float(weights.after[row, 0]) == pytest.approx(right, rel=1e-6)  # p is in float32


def test_other_classes_share_the_rest():
    logits, _, label = noisy_data(samples=30, classes=9, noise=symmetric(9, 0.2))
    probs, found = mean_probs(logits), evidence(analysed(logits, label), torch.arange(30))
    mass = (found.log_probs.exp() * found.log_count.exp()).sum(dim=1)
    torch.testing.assert_close(mass, torch.ones(30).double())
    own = probs.gather(1, label.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(found.log_probs[:, 0].exp(), own, rtol=1e-6, atol=1e-12)
    listed = (found.log_count[:, 1:-1] == 0).sum(dim=1)
    assert set((listed + 1 + found.log_count[:, -1].exp().round()).tolist()) == {9.0}


def test_a_class_without_a_vote_counts_as_a_part_of_one():
    votes = torch.tensor([[0, 1], [0, 1], [0, 2]])
    logits = torch.where(torch.nn.functional.one_hot(votes, 3).bool(), 0.0, -math.inf).double()
    found = evidence(analysed(logits, torch.tensor([1, 1])), torch.arange(2))
    torch.testing.assert_close(
        found.log_probs[:, 0].exp(), torch.tensor([1 / 3, 2 + 1 / 3]).double() / 4
    )


@pytest.fixture(scope="module")
def shifted():
    logits, _, label = noisy_data(samples=300, classes=4, members=2, noise=next_class(4, 0.15))
    return logits, label, evidence(analysed(logits, label), torch.arange(300))


@pytest.mark.parametrize("imagined", [4.0, math.inf])
def test_the_fit_is_a_maximum(monkeypatch, shifted, imagined):
    monkeypatch.setattr(noisy_labels, "TOLERANCE", 1e-13)
    monkeypatch.setattr(noisy_labels, "MOST_ROUNDS", 2000)
    logits, label, found = shifted
    noise, sharpness = (part.numpy() for part in fit_label_model(found, 4, imagined))
    after = posterior(found, fit_label_model(found, 4, imagined)).after
    given = {"labels": 0.0, "rate": float(after[:, 1:].sum()) / 300}
    assert given["rate"] == pytest.approx(0.15, abs=0.06)
    if math.isfinite(imagined):
        given["labels"] = imagined
    else:
        np.testing.assert_allclose(noise, symmetric(4, given["rate"]), atol=1e-6)
    probs = mean_probs(logits)
    best = objective(probs, label, noise, sharpness, given)
    for k in range(4):
        for step in (-0.02, 0.02):
            moved = sharpness + step * np.eye(4)[k]
            assert objective(probs, label, noise, moved, given) < best
            if math.isfinite(imagined):
                tilted = noise * np.exp(5 * step * np.eye(4)[:, [k]] * np.eye(4)[(k + 1) % 4])
                tilted /= tilted.sum(axis=1, keepdims=True)
                assert objective(probs, label, tilted, sharpness, given) < best


def test_the_matrix_of_mistakes_is_found():
    noise = next_class(6, 0.2)
    analysis, _ = noisy_analysis(samples=2000, members=2, noise=noise)
    found = fit_label_model(evidence(analysis, torch.arange(2000)), 6, 6.0).transition.numpy()
    np.testing.assert_allclose(found, noise, atol=0.05)
