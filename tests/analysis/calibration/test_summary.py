"""Calibration of an ensemble with its intervals: definitions, members left out, coverage."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bvalign.analysis.calibration.cells import confidence, equal_width, top_label
from bvalign.analysis.calibration.errors import calibration_error, squared_influence
from bvalign.analysis.calibration.gap import gap_identity
from bvalign.analysis.calibration.summary import BINNINGS, NOTIONS, MeanProbs, _error
from bvalign.analysis.calibration.temperature_fit import fit_temperature
from bvalign.analysis.decompositions import softmax
from tests import reference_losses as reference
from tests.analysed import analysed
from tests.ensembles import calibrated_members, random_ensemble
from tests.reference_statistics import statistics


def alone(probs, target):
    """Mean probabilities whose members are unknown."""
    nothing = torch.zeros(0, len(target))
    return MeanProbs(target, probs, nothing.double(), nothing.long())


def test_errors_are_those_of_every_notion_and_absolute_ones_have_no_interval():
    logits, target = random_ensemble(members=6, samples=120)
    found = analysed(logits, target).calibration
    mean = softmax(logits).mean(dim=0)
    assert (found.errors.keys(), found.num_samples) == (BINNINGS.keys(), 120)
    for binning, notions in found.errors.items():
        for name, error in notions.items():
            expected = calibration_error(NOTIONS[name](mean, target, binning=BINNINGS[binning]))
            assert error.absolute.value == pytest.approx(expected.absolute.item(), rel=1e-9)
            squared = expected.squared_debiased.item()
            assert error.squared_debiased.value == pytest.approx(squared, rel=1e-9, abs=1e-15)
            assert error.alone == pytest.approx(expected.alone.item())
            assert error.absolute.quoted_interval is None
            assert "no interval covers" in error.absolute.reason
            needs_largest = name in ("confidence", "top_label")
            assert (error.squared_debiased.interval is not None) == needs_largest
            assert ("over samples alone" in (error.squared_debiased.reason or "")) != needs_largest


@pytest.mark.parametrize("name", ["confidence", "top_label"])
@pytest.mark.parametrize("binning", BINNINGS)
def test_the_members_part_of_an_error_is_that_of_members_left_out(name, binning):
    """Binned anew without each member; what single samples do not share counts once."""
    notion, bins = {"confidence": confidence, "top_label": top_label}[name], BINNINGS[binning]
    logits, target = random_ensemble(members=5, samples=150, classes=3, scale=1.5)
    found = analysed(logits, target).calibration.errors[binning][name].squared_debiased
    probs, errors, influences = softmax(logits), [], []
    whole = notion(probs.mean(dim=0), target, binning=bins)
    d = torch.where(whole.noise.isnan(), 0.0, whole.residual[:, 0])[whole.items.cell]
    for gone in range(5):
        mean = probs[[m for m in range(5) if m != gone]].mean(dim=0)
        errors.append(calibration_error(notion(mean, target, binning=bins)).squared_debiased.item())
        largest, at = mean.max(dim=-1)
        influences.append((2 * d * (largest - (at == target).double())).numpy())
    of_members, both = 4 * np.var(errors), (4 * np.var(influences, axis=0)).sum() / 150**2
    samples = squared_influence(whole, 150).var().item() / 150
    extra = max(of_members - both, 0.0)
    total, freedom = samples + extra, 149.0
    if extra:
        freedom = total**2 / (samples**2 / 149 + extra * of_members / 4)
    expected = stats.t.interval(0.95, freedom, found.value, math.sqrt(total))
    assert found.interval == pytest.approx(expected, rel=1e-6)
    on_members = stats.t.interval(0.95, 4, found.value, math.sqrt(extra + min(both, samples)))
    assert found.interval_members == pytest.approx(on_members, rel=1e-6)


def test_the_interval_of_the_squared_error_covers():
    """Six predictions, each a cell of its own, and labels that follow other probabilities."""
    generator = torch.Generator().manual_seed(0)
    largest = torch.tensor([0.4, 0.5, 0.6, 0.7, 0.8, 0.9], dtype=torch.float64)
    predicted = torch.stack([largest, 0.7 * (1 - largest), 0.3 * (1 - largest)], dim=1)
    right = torch.tensor([0.6, 0.4, 0.65, 0.5, 0.85, 0.8], dtype=torch.float64)
    true = torch.stack([right, (1 - right) / 2, (1 - right) / 2], dim=1)
    truth = (largest - right).square().mean().item()
    hits, draws = 0, 250
    for _ in range(draws):
        rows = torch.randint(6, (400,), generator=generator)
        target = torch.multinomial(true[rows], 1, generator=generator).squeeze(1)
        found = _error(alone(predicted[rows], target), target, "confidence", equal_width, None)
        low, high = found.squared_debiased.interval_samples
        hits += low <= truth <= high
    assert 0.91 <= hits / draws <= 0.985  # three standard errors of 0.95 in 250 draws


def test_means_are_those_of_their_definitions():
    logits, target = reference.ensemble(3, 7, 4, 1.0, seed=3)
    found = analysed(logits, target).calibration
    rows = [statistics(logits[:, n].tolist(), y) for n, y in enumerate(target.tolist())]

    def mean(name):
        return float(reference.mean(row[name] for row in rows))

    for name, number in found.gap.items():
        assert number.value == pytest.approx(mean(name), rel=1e-10), name
    names = {
        "error": ("error_rate", "soft_error"),
        "disagreement": ("disagreement", "soft_disagreement"),
        "plug_in": ("hard_plug_in", "soft_plug_in"),
        "difference": ("hard_difference", "soft_difference"),
        "difference_plug_in": ("hard_difference_plug_in", "soft_difference_plug_in"),
    }
    for key, (hard, soft) in names.items():
        assert found.hard_equality[key].value == pytest.approx(mean(hard), rel=1e-10, abs=1e-15)
        assert found.soft_equality[key].value == pytest.approx(mean(soft), rel=1e-10, abs=1e-15)
        assert found.hard_equality[key].interval is not None
        assert found.soft_equality[key].interval is not None


def test_paired_differences_have_the_shorter_interval():
    logits, _, target = calibrated_members(seed=0, samples=500)
    found = analysed(logits, target).calibration.soft_equality
    width = {k: e.interval_samples[1] - e.interval_samples[0] for k, e in found.items()}
    assert width["difference"] < 0.9 * math.hypot(width["error"], width["disagreement"])


def test_a_temperature_is_judged_on_the_samples_it_was_not_fitted_on():
    logits, target = random_ensemble(members=5, samples=61, scale=3.0)
    found = analysed(logits, target).calibration.temperature
    order = np.random.default_rng(0).permutation(61)
    fit, judge = order[:30], order[30:60]
    assert found.num_samples == 30
    assert found.temperature == pytest.approx(fit_temperature(logits[:, fit], target[fit]))
    before = gap_identity(logits[:, judge], target[judge])
    after = gap_identity(logits[:, judge].double() / found.temperature, target[judge])
    assert list(found.effect) == ["before", "after", "change"]
    for name, old, new in zip(before._fields, before, after, strict=True):
        for kind, values in zip(found.effect, (old, new, new - old), strict=True):
            number = found.effect[kind][name]
            assert number.value == pytest.approx(values.mean().item(), rel=1e-9, abs=1e-15)
            error = values.std().item() / 30**0.5
            expected = stats.t.interval(0.95, 29, number.value, error)
            assert number.interval_samples == pytest.approx(expected, rel=1e-9)
            assert number.interval is not None


def test_the_members_part_of_a_change_is_that_of_members_left_out():
    logits, target = random_ensemble(members=5, samples=60, scale=3.0)
    found = analysed(logits, target).calibration.temperature
    judge = np.random.default_rng(0).permutation(60)[30:]
    changes = []
    for gone in range(5):
        left = logits[[m for m in range(5) if m != gone]][:, judge].double()
        gaps = [gap_identity(z, target[judge]).gap for z in (left, left / found.temperature)]
        changes.append((gaps[1] - gaps[0]).numpy())
    of_members = 4 * np.var(np.mean(changes, axis=1))
    both = (4 * np.var(changes, axis=0)).sum() / 30**2
    number = found.effect["change"]["gap"]
    half = number.interval_samples[1] - number.value
    samples = (half / stats.t.ppf(0.975, 29)) ** 2
    extra = max(of_members - both, 0.0)
    error = math.sqrt(extra + min(both, samples))
    expected = stats.t.interval(0.95, 4, number.value, error)
    assert number.interval_members == pytest.approx(expected, rel=1e-6)


def test_clusters_are_the_units_of_every_interval():
    """Each sample four times: as clusters they are as wide as a quarter of the samples."""
    logits, target = random_ensemble(members=4, samples=40, scale=3.0)
    four = logits.repeat_interleave(4, dim=1), target.repeat_interleave(4)
    clusters = torch.arange(40).repeat_interleave(4)
    once, plain, clustered = (
        analysed(*a, clusters=c).calibration
        for a, c in (((logits, target), None), (four, None), (four, clusters))
    )

    def width(number):
        return number.interval_samples[1] - number.interval_samples[0]

    for name in once.gap:
        assert width(clustered.gap[name]) == pytest.approx(width(once.gap[name]), rel=1e-9)
    for name in once.soft_equality:
        found = (width(c.soft_equality[name]) for c in (once, clustered))
        assert next(found) == pytest.approx(next(found), rel=1e-9)
    for name in NOTIONS:
        squared = [
            width(c.errors["equal_width"][name].squared_debiased) for c in (plain, clustered)
        ]
        assert squared[1] == pytest.approx(2 * squared[0], rel=0.05)
    for name in once.gap:
        widths = [width(c.temperature.effect["after"][name]) for c in (once, clustered)]
        assert 0.5 < widths[1] / widths[0] < 2, name  # half of the clusters, if not the same ones


def test_a_cluster_is_in_one_half_of_a_temperature():
    """Samples that repeat: the half that judges has not been seen by the fit."""
    logits, _, target = calibrated_members(seed=0, samples=20)
    four = logits.repeat_interleave(4, dim=1), target.repeat_interleave(4)
    clusters = torch.arange(20).repeat_interleave(4) * 7
    mixed = torch.from_numpy(np.random.default_rng(1).permutation(80))
    found = analysed(four[0][:, mixed], four[1][mixed], clusters=clusters[mixed])
    found = found.calibration.temperature
    rank = np.random.default_rng(0).permutation(20)
    fit, judge = np.argsort(rank)[:10], np.argsort(rank)[10:]
    assert found.temperature == pytest.approx(fit_temperature(logits[:, fit], target[fit]))
    gap = gap_identity(logits[:, judge], target[judge]).gap
    number = found.effect["before"]["gap"]
    assert number.value == pytest.approx(gap.mean().item())
    expected = stats.t.interval(0.95, 9, number.value, gap.std().item() / 10**0.5)
    assert number.interval_samples == pytest.approx(expected, rel=1e-9, abs=1e-10)
