"""The noise model against stored values, identities, limits and simulated ensembles.

Tolerances: 1e-13 is 100 roundings of float64, for sums of about 1000 positive terms; simulations
must lie within 4.5 standard errors.
"""

import json
import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.collapse.noise_distributions import LOG_DENSITY, draw_noise
from bvalign.analysis.collapse.noise_model import (
    bias_sq_wrong,
    kl_noise_model,
    noise_model,
    simulate_finite_members,
)
from tests import VALUES

GOLDEN = json.loads((VALUES / "collapse.json").read_text())
ROWS = GOLDEN["neural_collapse"] + GOLDEN["neural_collapse_gaussian"]
DISTRIBUTIONS = list(LOG_DENSITY)
few = settings(deadline=None, max_examples=8)
margins = st.floats(-8, 20)
scales = st.floats(0.05, 1.2)
classes = st.integers(2, 50)


def relative(value: torch.Tensor, expected: float) -> float:
    return abs(float(value) / float(expected) - 1)


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_stored_values(row):
    noise = "gaussian" if "sigma" in row else "gumbel"
    sigma = float(row.get("sigma", 1))
    arguments = (float(row["s_prime"]), row["K"], noise)
    model, kl = noise_model(*arguments, sigma=sigma), kl_noise_model(*arguments, sigma=sigma)
    found = {
        "bias2": model.bias_sq,
        "vari": model.variance,
        "risk": model.bias_sq + model.variance,
        "bias2_scalar": model.bias_sq_scalar,
        "vari_scalar": model.variance_scalar,
        "bias2_wrong": bias_sq_wrong(*arguments, sigma=sigma),
        "kl_risk": kl.kl_risk,
        "kl_bias": kl.kl_bias,
        "kl_vari": kl.kl_variance,
    }
    for key in found.keys() & row["expect"].keys():
        assert relative(found[key], row["expect"][key]) < 1e-13, key


@pytest.mark.parametrize("noise", DISTRIBUTIONS)
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_unbiased_values_of_simulated_ensembles_average_to_the_model(noise, sigma):
    num_samples, generator = 20_000, torch.Generator().manual_seed(1)
    v = draw_noise((3, num_samples, 4), noise, sigma=sigma, generator=generator)
    before = v.clone()
    simulated = simulate_finite_members(torch.full((num_samples,), 1.5), v)
    assert torch.equal(v, before)
    model = noise_model(1.5, 4, noise, sigma=sigma)
    for values, expected in (
        (simulated.bias_sq_unbiased, model.bias_sq),
        (simulated.variance_unbiased, model.variance),
        (simulated.bias_sq, model.bias_sq + model.variance / 3),
        (simulated.variance, model.variance * 2 / 3),
    ):
        assert abs(values.mean() - expected) < 4.5 * values.std() / math.sqrt(num_samples)


@few
@given(classes, scales, st.sampled_from(DISTRIBUTIONS))
def test_without_a_margin_all_classes_are_alike(num_classes, sigma, noise):
    model = noise_model(0, num_classes, noise, sigma=sigma)
    assert relative(model.bias_sq, 1 - 1 / num_classes) < 1e-13
    assert relative(model.bias_sq_scalar, (1 - 1 / num_classes) ** 2) < 1e-13
    assert relative(model.variance, num_classes * model.variance_scalar) < 1e-12
    assert relative(bias_sq_wrong(0, num_classes, noise, sigma=sigma), 1 - 1 / num_classes) < 1e-13


@few
@given(margins, scales, st.sampled_from(DISTRIBUTIONS))
def test_two_classes_are_symmetric(s_prime, sigma, noise):
    here, there = (noise_model(s, 2, noise, sigma=sigma) for s in (s_prime, -s_prime))
    assert relative(here.variance, there.variance) < 1e-12
    assert relative(here.variance, 2 * here.variance_scalar) < 1e-13
    assert relative(here.bias_sq, 2 * here.bias_sq_scalar) < 1e-13
    assert abs(here.bias_sq_scalar.sqrt() + there.bias_sq_scalar.sqrt() - 1) < 1e-13
    assert relative(bias_sq_wrong(s_prime, 2, noise, sigma=sigma), there.bias_sq) < 1e-12


@few
@given(margins, classes, scales, st.sampled_from(DISTRIBUTIONS))
def test_values_are_possible_for_probabilities(s_prime, num_classes, sigma, noise):
    """1 - ‖p̄‖² = 2 E a - bias_sq bounds the variance, and bias_sq_wrong follows from E a."""
    model = noise_model(s_prime, num_classes, noise, sigma=sigma)
    residual = model.bias_sq_scalar.sqrt()
    assert 0 < model.variance <= (2 * residual - model.bias_sq) * (1 + 1e-12)
    assert 0 < model.variance_scalar <= residual * (1 - residual) + 1e-15
    norm = num_classes / (num_classes - 1)
    wrong = 2 - norm * (2 * residual - residual**2)
    assert abs(bias_sq_wrong(s_prime, num_classes, noise, sigma=sigma) - wrong) < 1e-13


@few
@given(margins, classes, st.floats(0.3, 1.2), st.sampled_from(DISTRIBUTIONS))
def test_the_kl_risk_falls_by_the_mean_residual(s_prime, num_classes, sigma, noise):
    """d/ds' E -log p_y = -E a, by a central difference of error 1e-3² / 6 of the third derivative.

    kl_bias is the loss of the noiseless logits whatever the noise.
    """
    here = torch.tensor([s_prime - 1e-3, s_prime, s_prime + 1e-3], dtype=torch.float64)
    kl = kl_noise_model(here, num_classes, noise, sigma=sigma)
    residual = noise_model(s_prime, num_classes, noise, sigma=sigma).bias_sq_scalar.sqrt()
    assert abs((kl.kl_risk[0] - kl.kl_risk[2]) / 2e-3 - residual) < 1e-6 * residual + 1e-11
    noiseless = torch.zeros(num_classes, dtype=torch.float64)
    noiseless[0] = s_prime
    assert abs(kl.kl_bias[1] + noiseless.log_softmax(dim=0)[0]) < 1e-14 * (1 + abs(s_prime))
    assert (kl.kl_variance > 0).all()


def test_the_sign_of_gumbel_noise_shows_from_three_classes_on():
    for num_classes, same in ((2, True), (3, False)):
        two = [noise_model(4.0, num_classes, name).variance for name in ("gumbel", "gumbel_max")]
        assert (relative(*two) < 1e-13) == same


@pytest.mark.parametrize("num_classes", [2, 3, 10, 100])
def test_limits_of_large_margins(num_classes):
    n, c = num_classes - 1, math.exp(-60)
    gumbel = noise_model(60, num_classes)
    harmonic = sum(1 / i for i in range(1, num_classes))
    assert relative(gumbel.bias_sq, num_classes * n * (c * (60 - harmonic)) ** 2) < 1e-13
    assert relative(gumbel.variance, n * (1 + 2 / num_classes) * c) < 1e-13
    for sigma in (0.5, 1.0):
        e = math.exp(sigma**2)
        gaussian = noise_model(60, num_classes, "gaussian", sigma=sigma)
        ratio = (2 * e**2 + (num_classes - 2) * e - num_classes) / num_classes
        assert relative(gaussian.bias_sq, num_classes * n * (e * c) ** 2) < 1e-13
        assert relative(gaussian.variance / gaussian.bias_sq, ratio) < 1e-13


@pytest.mark.parametrize("num_classes", [3, 10])
def test_limits_of_negative_margins(num_classes):
    """The label loses to n classes that are alike; corrections are of order e^-40."""
    model, others = noise_model(-40, num_classes), num_classes - 2
    assert relative(model.bias_sq, num_classes / (num_classes - 1)) < 1e-13
    assert relative(model.variance, others / (num_classes * (num_classes - 1))) < 1e-13
    assert relative(bias_sq_wrong(-40, num_classes), others / (num_classes - 1)) < 1e-13


@pytest.mark.parametrize(
    ("sigma", "slope"), [(0.25, 1), (0.4, 1), (0.6, 1 / 1.2), (0.8, 1 / 1.6), (1.5, 1 / 2)]
)
@pytest.mark.parametrize("noise", ["gumbel", "gumbel_max"])
def test_slope_by_the_scale_of_gumbel_noise(noise, sigma, slope):
    model = noise_model(torch.tensor([120.0, 125.0]), 10, noise, sigma=sigma)
    assert abs(model.variance.log().diff() / model.bias_sq.log().diff() - slope) < 1e-4


def test_ratio_of_logarithms_for_two_classes():
    """From log(1/4) / log(1/12) at s' = 0 it rises to 2, through 1 between 1.72 and 1.73."""
    model = noise_model(torch.tensor([0, 1, 1.72, 1.73, 5, 10, 50, 100, 300]), 2)
    ratio = model.bias_sq_scalar.log() / model.variance_scalar.log()
    assert (ratio.diff() > 0).all()
    assert abs(ratio[0] - math.log(4) / math.log(12)) < 1e-13
    assert ratio[2] < 1 < ratio[3]
    assert abs(ratio[5] - 1.56) < 0.005
    assert abs(ratio[6] - 1.84) < 0.005
    assert 1.95 < ratio[-1] < 2


@pytest.mark.parametrize(("num_members", "median"), [(2, 0.31), (5, 0.94), (10, 1.75), (20, 3.0)])
def test_finite_ensembles_of_gumbel_noise_show_slope_one(num_members, median):
    """Medians of variance/bias_sq are those of an independent simulation, 5% accurate."""
    generator = torch.Generator().manual_seed(0)
    v = draw_noise((num_members, 4000, 10), generator=generator)
    near, far = (simulate_finite_members(torch.full((4000,), s), v) for s in (20.0, 24.0))
    ratio = near.variance / near.bias_sq
    assert abs(ratio.median() / median - 1) < 0.1
    assert (ratio < (num_members - 1) * (1 + 1e-12)).all()
    slope = (far.variance / near.variance).log() / (far.bias_sq / near.bias_sq).log()
    assert abs(slope.median() - 1) < 1e-3


def test_shapes_and_dtypes():
    grid = np.array([[0, 1, 2], [3, 4, 5]])
    for points in (grid, torch.from_numpy(grid), grid.astype(np.float32)):
        for values in (*noise_model(points, 3), *kl_noise_model(points, 3)):
            assert values.shape == (2, 3)
            assert values.dtype == torch.float64
    assert noise_model(1.0, 3).variance == noise_model(grid, 3).variance[0, 1]
    assert noise_model(1, 3).variance.shape == ()
    assert bias_sq_wrong(torch.empty(0), 3).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"s_prime": 1.0, "num_classes": 1}, "num_classes must be at least 2, got 1"),
        ({"s_prime": [0.0, 301.0], "num_classes": 2}, "within ±300 nats, got 301"),
        ({"s_prime": [0.0, math.nan], "num_classes": 2}, "within ±300 nats, got nan"),
        ({"s_prime": 1.0, "num_classes": 2, "noise": "cauchy"}, "one of gumbel, .*, got 'cauchy'"),
        (
            {"s_prime": 1.0, "num_classes": 2, "sigma": 0.0},
            "sigma must be positive and finite, got 0.0",
        ),
        ({"s_prime": 1.0, "num_classes": 2, "sigma": math.inf}, "positive and finite, got inf"),
    ],
)
@pytest.mark.parametrize("function", [noise_model, bias_sq_wrong, kl_noise_model])
def test_what_is_refused(function, arguments, message):
    arguments = {**arguments, "s_prime": np.array(arguments["s_prime"])}
    with pytest.raises(ValueError, match=message):
        function(**arguments)


def test_simulation_refuses_margins_of_other_samples(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(ValueError, match=r"got \(3, 5, 4\) and \(1,\)"):
        simulate_finite_members(torch.zeros(1), torch.zeros(3, 5, 4))


def test_simulating_in_pieces_changes_nothing(monkeypatch):
    v = draw_noise((3, 7, 4), "gumbel", generator=torch.Generator().manual_seed(0))
    kept, s_prime = v.clone(), torch.linspace(0, 6, 7)
    at_once = simulate_finite_members(s_prime, v)
    monkeypatch.setattr("bvalign.analysis.decompositions.pieces.PIECE", 24)
    for found, expected in zip(simulate_finite_members(s_prime, v), at_once, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    assert torch.equal(v, kept)
