"""Noise of the logits: its growth with the margin and its distribution are found again."""

import sys

import pytest
import torch

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import mechanism


def members(growth, num_members=16, num_samples=2000, num_classes=6):
    """Logits with margins 6 to 14 and Gaussian noise of scale s'^growth, 1 at a margin of 10."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(num_samples) % num_classes
    margins = torch.linspace(6, 14, num_samples, dtype=torch.float64)
    shape = (num_members, num_samples, num_classes)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    base = margins[:, None] * torch.nn.functional.one_hot(target, num_classes)
    return base + ((margins / 10) ** growth)[:, None] * noise, target


@pytest.mark.parametrize("growth", [0.0, 0.6])
def test_growth_of_the_noise_is_found(growth, monkeypatch, tmp_path):
    logits, target = members(growth)
    monkeypatch.setattr(mechanism, "correct_logits", lambda path: (logits, target))
    found = mechanism.noise_growth({"r": tmp_path}, {})
    low, high = found.rows["r"]["noise.growth"]["interval"]
    assert low < growth < high
    curve = found.curves["r: noise of the logits (nats)"]
    assert [point["y"] for point in curve] == pytest.approx(
        [(point["x"] / 10) ** growth for point in curve], rel=0.02
    )


def test_small_runs_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(mechanism, "correct_logits", lambda path: members(0.0, num_samples=100))
    assert mechanism.noise_growth({"r": tmp_path}, {}).rows == {}


def test_gaussian_noise_is_nearer_to_gauss_than_to_gumbel(monkeypatch, tmp_path):
    monkeypatch.setattr(mechanism, "correct_logits", lambda path: members(0.0, num_samples=400))
    row = mechanism.noise_distributions({"r": tmp_path}, {}).rows["r"]
    low, high = row["noise.gaussian_minus_gumbel"]["interval"]
    assert low < high < 0
