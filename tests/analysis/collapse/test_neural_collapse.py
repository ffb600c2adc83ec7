"""NC1 to NC4 against loops over full covariance matrices, at exact collapse, and symmetries."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.collapse.neural_collapse import neural_collapse


def draw(seed=0, num_samples=60, num_classes=4, num_features=6):
    """Features around one mean per class, every class present, and an unrelated last layer."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    target = torch.arange(num_samples) ** 2 % num_classes
    target[: 2 * num_classes] = torch.arange(num_classes).repeat(2)
    features = normal(num_classes, num_features)[target] + normal(num_samples, num_features)
    return features, target, normal(num_classes, num_features), normal(num_classes)


def collapsed(num_classes, num_features, scale=3.0):
    """Two samples per class at the vertices of a rotated simplex, W in its directions."""
    generator = torch.Generator().manual_seed(1)
    simplex = torch.eye(num_classes, dtype=torch.float64) - 1 / num_classes
    normal = torch.randn(num_features, num_classes, generator=generator, dtype=torch.float64)
    means = simplex @ torch.linalg.qr(normal).Q.T
    target = torch.arange(num_classes).repeat(2)
    return scale * means[target] + 7.0, target, means, -7.0 * means.sum(dim=1)


def reference(features, target, weight, bias):
    """The definitions, with (features, features) matrices and a pseudo-inverse."""
    h, y, w, beta = (tensor.numpy() for tensor in (features, target, weight, bias))
    num_classes, dim = w.shape
    means = np.array([h[y == k].mean(axis=0) for k in range(num_classes)])
    centre = means.mean(axis=0)
    within, between = np.zeros((dim, dim)), np.zeros((dim, dim))
    for row, label in zip(h, y, strict=True):
        within += np.outer(row - means[label], row - means[label]) / len(h)
    for mean in means:
        between += np.outer(mean - centre, mean - centre) / num_classes
    result = [np.trace(within @ np.linalg.pinv(between, rcond=1e-8)) / num_classes]
    for vectors in (means - centre, w):
        norms = [math.sqrt((vector**2).sum()) for vector in vectors]
        pairs = [(j, k) for j in range(num_classes) for k in range(num_classes) if j != k]
        cosines = [vectors[j] @ vectors[k] / norms[j] / norms[k] for j, k in pairs]
        errors = [abs(cosine + 1 / (num_classes - 1)) for cosine in cosines]
        result += [np.std(norms) / np.mean(norms), np.std(cosines), np.mean(errors)]
    dual = w / np.linalg.norm(w) - (means - centre) / np.linalg.norm(means - centre)
    result.append((dual**2).sum())
    differ = 0
    for row in h:
        nearest = np.argmin([((row - mean) ** 2).sum() for mean in means])
        differ += nearest != np.argmax(w @ row + beta)
    return [*result, differ / len(h)]


def flat(result):
    return [
        result.within_over_between,
        *result.class_means,
        *result.classifier,
        result.self_duality,
        result.nearest_mean_disagreement,
    ]


@pytest.mark.parametrize(("num_classes", "num_features"), [(4, 6), (2, 5), (7, 3)])
def test_equals_the_definition(num_classes, num_features):
    inputs = draw(num_classes=num_classes, num_features=num_features)
    expected = reference(*inputs)
    assert 0 < expected[-1] < 1
    np.testing.assert_allclose(flat(neural_collapse(*inputs)), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("num_classes", "num_features"), [(2, 2), (3, 8), (10, 12)])
def test_everything_vanishes_at_collapse(num_classes, num_features):
    result = neural_collapse(*collapsed(num_classes, num_features))
    np.testing.assert_allclose(flat(result), 0, atol=1e-14)


def test_small_within_class_noise_is_nc1():
    """Noise of variance eps² in d directions, K-1 of them in the plane of the means.

    The simplex of norm² scale² (K-1)/K has Sigma_B = scale²/K there: NC1 = (K-1) eps² / scale².
    """
    features, target, weight, bias = collapsed(5, 9, scale=2.0)
    features, target = features.repeat(4000, 1), target.repeat(4000)
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    result = neural_collapse(features + 0.01 * noise, target, weight, bias)
    relative_error = math.sqrt(2 / (4 * len(features)))
    assert abs(result.within_over_between / (4 * 0.01**2 / 4) - 1) < 4.5 * relative_error


def test_by_hand():
    """Means ±2 and centre 0; within (1 + 1 + 0) / 3, between 4, K = 2: NC1 = 1/12.

    W = (1, -3): norms 1 and 3; ‖W‖² = 10; NC3 = 2 - 2 (2 + 6) / sqrt(10 * 8). The logit of class 1
    wins at h < 1/2 without a bias, at all h < 2 with bias 6: one of three samples changes side.
    """
    features, target = torch.tensor([[1.0], [3.0], [-2.0]]), torch.tensor([0, 0, 1])
    result = neural_collapse(
        features, target, torch.tensor([[1.0], [-3.0]]), torch.tensor([0.0, 6.0])
    )
    assert result.within_over_between == pytest.approx(1 / 12)
    assert result.class_means == pytest.approx((0, 0, 0), abs=1e-15)
    assert result.classifier == pytest.approx((0.5, 0, 0))
    assert result.self_duality == pytest.approx(2 - 16 / math.sqrt(80))
    assert result.nearest_mean_disagreement == pytest.approx(1 / 3)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_symmetries(seed):
    features, target, weight, bias = draw(seed, num_samples=30)
    expected = flat(neural_collapse(features, target, weight, bias))
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    samples, classes = (torch.randperm(n, generator=generator) for n in (30, 4))
    shift = torch.randn(6, generator=generator)

    rotated = neural_collapse(features @ rotation, target, weight @ rotation, bias)
    np.testing.assert_allclose(flat(rotated), expected, rtol=1e-9)
    permuted = neural_collapse(
        features[samples], classes.argsort()[target[samples]], weight[classes], bias[classes]
    )
    np.testing.assert_allclose(flat(permuted), expected, rtol=1e-9)
    moved = neural_collapse(3 * features + shift, target, weight, bias - weight @ shift.double())
    np.testing.assert_allclose(flat(moved)[:-1], expected[:-1], rtol=1e-9)
    scaled = neural_collapse(features + shift, target, weight, bias - weight @ shift.double())
    assert scaled.nearest_mean_disagreement == expected[-1]


def test_single_precision_features_are_computed_in_double():
    features, target, weight, bias = draw()
    single = neural_collapse(features.float(), target, weight.float(), bias.float())
    double = neural_collapse(features.float().double(), target, weight.float(), bias.float())
    assert single == double


def refused(**changes):
    names = ("features", "target", "weight", "bias")
    return dict(zip(names, draw(), strict=True)) | changes


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (refused(bias=torch.zeros(3)), r"got \(60, 6\), \(60,\), \(4, 6\), \(3,\)"),
        (refused(weight=torch.zeros(4, 5)), r"got \(60, 6\), \(60,\), \(4, 5\), \(4,\)"),
        (refused(target=torch.zeros(59).long()), r"got \(60, 6\), \(59,\), \(4, 6\), \(4,\)"),
        (refused(features=torch.zeros(60)), r"got \(60,\), \(60,\), \(4, 6\), \(4,\)"),
        (refused(weight=torch.zeros(1, 6), bias=torch.zeros(1)), "at least 2 rows, .*, got 1"),
        (refused(features=torch.full((60, 6), math.nan)), "features must be finite, got 360 val"),
        (refused(weight=torch.full((4, 6), math.inf)), "weight must be finite, got 24 values"),
        (refused(bias=torch.tensor([0, 0, 0, math.nan])), "bias must be finite, got 1 values"),
        (refused(target=torch.arange(60) % 5), r"labels must lie in 0..3, got 4"),
        (refused(target=-torch.arange(60) % 4 - 1), r"labels must lie in 0..3, got -1"),
        (refused(target=torch.arange(60) % 2), r"every class needs samples, got none of \[2, 3\]"),
        (refused(features=torch.full((60, 6), 0.1)), r"class mean.* zero for classes \[0, 1, 2, 3"),
        (
            {  # means 0.2 up to rounding
                "features": torch.tensor([[0.1], [0.2], [0.3], [0.2]], dtype=torch.float64),
                "target": torch.tensor([0, 0, 0, 1]),
                "weight": torch.tensor([[1.0], [-1.0]]),
                "bias": torch.zeros(2),
            },
            r"class mean.* zero for classes \[0, 1\]",
        ),
        (refused(weight=torch.eye(4, 6).tril(-1)), r"row of weight .* zero for classes \[0, 1, 2"),
    ],
)
def test_what_is_refused(inputs, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(ValueError, match=message):
        neural_collapse(**inputs)
