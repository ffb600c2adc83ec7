"""What makes the slope: known noise is found again, and its growth moves the slope as it should."""

import sys

import pytest
import torch

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import mechanism

from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.slopes.lines import log_log_line


def members(growth, num_members=16, num_samples=2000, num_classes=6):
    """Logits with margins 6 to 14 and Gaussian noise of scale s'^growth, 1 at a margin of 10."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(num_samples) % num_classes
    margins = torch.linspace(6, 14, num_samples, dtype=torch.float64)
    shape = (num_members, num_samples, num_classes)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    base = margins[:, None] * torch.nn.functional.one_hot(target, num_classes)
    return base + ((margins / 10) ** growth)[:, None] * noise, target


def ols(logits, target):
    values = decompose(moments(logits, target), target)
    return float(log_log_line(values.bias_sq, values.variance, values.correct)["slope"])


@pytest.mark.parametrize("growth", [0.0, 0.6])
def test_growth_of_the_noise_is_found_and_explains_the_slope(growth, monkeypatch, tmp_path):
    logits, target = members(growth)
    monkeypatch.setattr(mechanism, "correct_logits", lambda path: (logits, target))
    data = ols(logits, target)
    summaries = {"r": {"collapse": {"slope_data": data}}}
    found = mechanism.slope_by_parts({"r": tmp_path}, summaries)
    row = found.rows["r"]
    low, high = row["noise.growth"]["interval"]
    assert low < growth < high
    for version in ("growing_noise", "mean_logits"):
        # three standard errors of an OLS slope over 2,000 samples
        assert row[f"slope.{version}"]["value"] == pytest.approx(data, abs=0.03)
        assert row[f"slope.without_{version}"]["value"] == pytest.approx(0, abs=0.03)
    assert len(found.curves["r: noise of the logits (nats)"]) == mechanism.NUM_BINS
    assert (data < 0.97) == (growth > 0)


def test_small_runs_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(mechanism, "correct_logits", lambda path: members(0.0, num_samples=100))
    assert mechanism.slope_by_parts({"r": tmp_path}, {}).rows == {}


def test_gaussian_noise_is_nearer_to_gauss_than_to_gumbel(monkeypatch, tmp_path):
    monkeypatch.setattr(mechanism, "correct_logits", lambda path: members(0.0, num_samples=400))
    row = mechanism.noise_distributions({"r": tmp_path}, {}).rows["r"]
    low, high = row["noise.gaussian_minus_gumbel"]["interval"]
    assert low < high < 0
