"""Calibration errors: loops, torchmetrics, known miscalibration, noise that averages out."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from bvalign.analysis.calibration.cells import (
    canonical,
    class_aggregated,
    class_wise,
    confidence,
    equal_mass,
    equal_width,
    top_label,
)
from bvalign.analysis.calibration.errors import calibration_error, squared_influence
from bvalign.analysis.decompositions.squared_loss import softmax
from tests import reference_losses as reference
from tests.reference_losses import bin_of, ensemble

NOTIONS = (confidence, top_label, class_wise, class_aggregated, canonical)


def predictions(samples, classes, margin, seed):
    logits, _ = ensemble(3, samples, classes, margin, seed)
    labels = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed + 1))
    return softmax(logits).mean(dim=0), labels


def entries(notion, probs, target, num_bins):
    """(cell, residual, sample) of a notion, from its definition; bins of equal width."""
    found = []
    for n, (p, y) in enumerate(zip(probs.tolist(), target.tolist(), strict=True)):
        r = [x - (k == y) for k, x in enumerate(p)]
        bins = [bin_of(x, num_bins) for x in p]
        top = p.index(max(p))
        if notion is canonical:
            found.append((tuple(bins), r, n))
        elif notion is confidence:
            found.append((bins[top], [r[top]], n))
        elif notion is top_label:
            found.append(((top, bins[top]), [r[top]], n))
        elif notion is class_wise:
            found += [((k, bins[k]), [r[k]], n) for k in range(len(p))]
        else:
            found += [(bins[k], [r[k]], n) for k in range(len(p))]
    return found


@pytest.mark.parametrize("notion", NOTIONS)
@settings(max_examples=8, deadline=None)
@given(st.integers(2, 4), st.integers(1, 15), st.floats(0, 60), st.integers(0, 2**32))
def test_errors_are_their_definitions(notion, classes, num_bins, margin, seed):
    probs, target = predictions(25, classes, margin, seed)
    error = calibration_error(notion(probs, target, num_bins=num_bins))
    expected = reference.calibration(entries(notion, probs, target, num_bins), len(probs))
    for value, number in zip(error, expected, strict=True):
        assert value.item() == pytest.approx(number, rel=1e-11, abs=1e-13)


def test_confidence_equals_torchmetrics():
    probs, target = predictions(500, 4, 1.0, seed=0)
    largest, at = probs.max(dim=-1)
    ours = calibration_error(confidence(probs, target)).absolute
    binary = binary_calibration_error(largest, (at == target).long(), n_bins=15, norm="l1")
    torch.testing.assert_close(ours, binary, rtol=1e-12, atol=0)
    multiclass = multiclass_calibration_error(probs, target, num_classes=4, n_bins=15, norm="l1")
    torch.testing.assert_close(ours, multiclass.double(), rtol=1e-5, atol=0)


def test_class_wise_equals_torchmetrics():
    probs, target = predictions(500, 4, 1.0, seed=1)
    ours = calibration_error(class_wise(probs, target)).absolute
    theirs = sum(
        binary_calibration_error(probs[:, k].clone(), (target == k).long(), n_bins=15, norm="l1")
        for k in range(4)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_debiased_is_that_of_kumar_for_equal_predictions():
    """(f - m)² - f (1 - f) / (n - 1), with f = 3/5 the observed frequency and m = 0.75."""
    probs = torch.tensor([0.25, 0.75], dtype=torch.float64).repeat(5, 1)
    error = calibration_error(confidence(probs, torch.tensor([1, 1, 1, 0, 0])))
    assert error.absolute.item() == pytest.approx(0.15)
    assert error.squared_debiased.item() == pytest.approx(0.15**2 - 0.6 * 0.4 / 4)
    assert error.alone.item() == 0


@pytest.mark.parametrize("notion", NOTIONS)
def test_calibrated_predictions_have_no_debiased_error(notion):
    """Labels drawn from the predictions, 60 times; predictions that repeat fill every cell."""
    generator = torch.Generator().manual_seed(0)
    probs = softmax(torch.randn(6, 3, generator=generator)).repeat(25, 1)
    errors = []
    for _ in range(60):
        target = torch.multinomial(probs, 1, generator=generator).squeeze(1)
        errors.append(torch.stack(calibration_error(notion(probs, target))[:2]))
    absolute, debiased = torch.stack(errors).T
    assert abs(debiased.mean()) < 4 * debiased.std() / 60**0.5
    assert absolute.mean() > 10 * absolute.std() / 60**0.5


def test_underconfidence_is_measured():
    """Always right at p = 0.7: the error is 0.3 under every notion's own count of it."""
    probs = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).repeat(10, 1)
    target = torch.zeros(10, dtype=torch.int64)
    for notion, absolute in zip(NOTIONS, (0.3, 0.3, 0.6, 0.6, 0.6), strict=True):
        assert calibration_error(notion(probs, target)).absolute.item() == pytest.approx(absolute)


def test_class_aggregation_lets_classes_cancel():
    """Class 0 is predicted too often, class 1 too rarely, at the same probability."""
    probs = torch.full((10, 2), 0.5, dtype=torch.float64)
    target = torch.ones(10, dtype=torch.int64)
    assert calibration_error(class_aggregated(probs, target)).absolute.item() == 0
    assert calibration_error(class_wise(probs, target)).absolute.item() == pytest.approx(1)


def test_stronger_notions_have_larger_errors():
    probs, target = predictions(200, 4, 1.0, seed=2)
    absolute = {n.__name__: calibration_error(n(probs, target)).absolute.item() for n in NOTIONS}
    assert absolute["canonical"] >= absolute["class_wise"] >= absolute["class_aggregated"]
    assert absolute["canonical"] >= absolute["top_label"] >= absolute["confidence"]


def test_cells_are_a_reliability_diagram():
    probs, target = predictions(200, 4, 1.0, seed=3)
    cells = confidence(probs, target, num_bins=10)
    largest, at = probs.max(dim=-1)
    inside = (largest >= 0.6) & (largest < 0.7)
    row = (cells.predicted.squeeze(1) * 10).long().tolist().index(6)
    frequency = (at == target)[inside].double().mean()
    torch.testing.assert_close(cells.fraction[row], inside.double().mean())
    torch.testing.assert_close(cells.predicted[row, 0], largest[inside].mean())
    torch.testing.assert_close((cells.predicted - cells.residual)[row, 0], frequency)


@pytest.mark.parametrize("notion", NOTIONS)
@pytest.mark.parametrize("binning", [equal_width, equal_mass])
def test_permutations(notion, binning):
    probs, target = predictions(50, 4, 1.0, seed=4)
    generator = torch.Generator().manual_seed(0)
    samples, classes = (torch.randperm(n, generator=generator) for n in probs.shape)
    moved, labels = probs[samples][:, classes], classes.argsort()[target[samples]]
    before = calibration_error(notion(probs, target, num_bins=4, binning=binning))
    after = calibration_error(notion(moved, labels, num_bins=4, binning=binning))
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("notion", NOTIONS)
@pytest.mark.parametrize("binning", [equal_width, equal_mass])
def test_influence_is_the_derivative_by_the_weight_of_a_sample(notion, binning):
    """The plug-in error sum_b n_b/N ‖d_b‖² of cells of several samples, each sample weighted."""
    probs, target = predictions(40, 4, 1.0, seed=5)
    cells = notion(probs, target, num_bins=4, binning=binning)
    sample, cell, residuals, pairs = cells.items
    pairs = torch.ones(len(sample)) if pairs is None else pairs

    def error(weights):
        total = 0.0
        for b in range(len(cells.fraction)):
            items = torch.nonzero(cell == b).flatten()
            if len(items) > 1:
                w = weights[sample[items]]
                summed = (w.unsqueeze(1) * residuals[items]).sum(dim=0)
                total += summed.square().sum() / (w * pairs[items]).sum() / 40
        return total

    found, step = squared_influence(cells, 40), 1e-6 * torch.eye(40, dtype=torch.float64)
    one = torch.ones(40, dtype=torch.float64)
    slopes = torch.stack([(error(one + s) - error(one - s)) / 2e-6 for s in step])
    torch.testing.assert_close(found, 40 * slopes, rtol=1e-5, atol=1e-7)
    assert found.mean().item() == pytest.approx(error(one).item(), rel=1e-12)
    plug_in = cells.fraction * cells.residual.square().sum(dim=-1)
    assert found.mean().item() == pytest.approx(
        plug_in[~cells.noise.isnan()].sum().item(), rel=1e-12
    )


def test_a_sample_alone_in_its_cell_has_no_influence():
    probs = torch.tensor([[0.9, 0.1], [0.55, 0.45], [0.56, 0.44]], dtype=torch.float64)
    found = squared_influence(confidence(probs, torch.tensor([1, 0, 1])), 3)
    assert found[0] == 0
    assert (found[1:] != 0).all()


def test_equal_width_bins():
    values = torch.tensor([[0.0, 0.25], [0.49, 0.5], [0.99, 1.0]], dtype=torch.float64)
    assert equal_width(values, 4).tolist() == [[0, 1], [1, 2], [3, 3]]


def test_equal_mass_bins():
    values = torch.stack([torch.linspace(0, 1, 12), torch.ones(12)], dim=1).double()
    bins = equal_mass(values, 4)
    assert bins[:, 0].bincount().tolist() == [3, 3, 3, 3]
    assert len(bins[:, 1].unique()) == 1  # equal values stay together


@pytest.mark.parametrize("notion", NOTIONS)
def test_there_must_be_a_bin(notion):
    probs, target = predictions(5, 4, 0.0, seed=0)
    with pytest.raises(ValueError, match=re.escape("num_bins must be at least 1, got 0")):
        notion(probs, target, num_bins=0)
