"""True values of the simulation study: quadrature against brute force, twins and stored values."""

import json

import numpy as np
import pytest
import torch

from tests.experiments.estimators_stand_in import ESTIMATORS  # noqa: F401 (adds it to the path)

import distributions  # isort: skip
import expected_means  # isort: skip
import population  # isort: skip
import truths  # isort: skip
from cells import CELLS, GROUPS, NOISES, Cell  # isort: skip
from ensembles import Margins, Noise, simulate  # isort: skip

from bvalign.analysis.collapse.noise_model import kl_noise_model, noise_model
from bvalign.analysis.decompositions import cross_entropy, decompose, moments, vote_counts, zero_one
from bvalign.analysis.decompositions.columns import columns_of

PACKAGE_NOISES = ("gaussian", "gumbel", "gumbel_max", "logistic")
CLOSE = Margins(3, 3)
OF_MEMBERS = {
    "shift": Noise(shift=0.7, margins=CLOSE),
    "temperature": Noise(temperature=0.2, margins=CLOSE),
    "weak": Noise(weak=(0.3, 0.6), margins=CLOSE),
    "class_bias": Noise(sigma=0.6, class_bias=0.8, margins=CLOSE),
    "class_scale": Noise(class_scale=(0.4, 1.8), margins=CLOSE),
    "factor": Noise(factor=0.9, margins=CLOSE),
    "several": Noise(shift=0.4, class_bias=0.3, factor=0.5, margins=CLOSE),
    **{name: Noise(name, 0.7, margins=CLOSE) for name in distributions.DRAW},
}


@pytest.mark.parametrize("name", distributions.DRAW)
def test_nodes_and_draws_are_of_one_distribution(name):
    x, weights = distributions.nodes(name)
    drawn = distributions.DRAW[name](np.random.default_rng(0), (400_000,))
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    for function in (np.tanh, np.square, lambda v: np.exp(-np.exp(v)), lambda v: np.cos(2 * v)):
        sample = function(drawn)
        expected, error = weights @ function(x), sample.std() / len(sample) ** 0.5
        assert abs(sample.mean() - expected) < 5 * error, function
    if name in ("skew", "uniform", "gaussian"):  # of unit variance
        assert weights @ x == pytest.approx(0, abs=1e-12)
        assert weights @ x**2 == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("margins", [Margins(2, 7), Margins(-1, 9, ((0.3, 1, 2), (0.7, 6, 1.5)))])
def test_margins_have_the_density_that_they_state(margins):
    n = 20_000
    s = margins.quantile((np.arange(n) + 0.5) / n)
    grid = np.linspace(margins.low, margins.high, n)
    step = grid[1] - grid[0]
    assert margins.density(grid).sum() * step == pytest.approx(1, abs=1e-3)
    for power in (1, 2):
        integral = (grid**power * margins.density(grid)).sum() * step
        assert (s**power).mean() == pytest.approx(integral, rel=1e-3)


@pytest.mark.parametrize("noise", PACKAGE_NOISES)
@pytest.mark.parametrize("classes", [2, 7])
def test_quadrature_is_that_of_the_collapse_model(noise, classes):
    for s in (0.5, 5.0, 17.0):
        one = population.sample_population(Noise(noise, 0.6), s, classes)
        twin = noise_model(s, classes, noise, sigma=0.6)
        assert one.bias_sq == pytest.approx(float(twin.bias_sq), rel=1e-9)
        assert one.variance == pytest.approx(float(twin.variance), rel=1e-8)
    twin = kl_noise_model(1.5, classes, noise, sigma=0.6)
    one = population.sample_population(Noise(noise, 0.6), 1.5, classes)
    assert one.kl_bias == pytest.approx(float(twin.kl_bias), rel=1e-9)
    assert one.kl_risk == pytest.approx(float(twin.kl_risk), rel=1e-8)


@pytest.mark.parametrize("name", OF_MEMBERS)
def test_quadrature_is_what_very_many_members_give(name):
    noise, members, batches, classes = OF_MEMBERS[name], 20_000, 8, 5
    kind = 3  # a class without a load, and noisier than the average
    rng, found = np.random.default_rng(0), []
    while len(found) < batches:
        logits, target = simulate(noise, members, 1, classes, rng)
        if target[0] == kind:
            values, _ = expected_means.sample_values(logits, target)
            found.append([float(values[n][0]) for n in ("bias_sq_unbiased", "variance_unbiased")])
            found[-1] += [float(values[n][0]) for n in ("kl_bias", "kl_risk")]
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / batches**0.5
    exact = np.array(population.sample_population(noise, 3.0, classes, favoured=kind)[:4])
    assert (np.abs(mean - exact) < 6 * error + 1e-4 * exact).all(), (mean, exact, error)


def test_slope_and_offset_are_those_of_very_many_members():
    """Log errors of 20,000 members are about 0.01 per sample, so the slope errs by 0.0005."""
    noise, samples = Noise(sigma=0.2, growth=0.05, margins=Margins(2, 9)), 50
    uniforms = (np.arange(samples) + 0.5) / samples
    logits, target = simulate(
        noise, 20_000, samples, 4, np.random.default_rng(1), uniforms=uniforms
    )
    values, _ = expected_means.sample_values(logits, target)
    x, y = (np.log(values[f"{name}_unbiased"]) for name in ("bias_sq", "variance"))
    exact = population.population(noise, 4)
    assert np.polyfit(x, y, 1)[0] == pytest.approx(exact["slope"], abs=0.003)
    assert (y - x).mean() == pytest.approx(exact["offset"], abs=0.01)
    assert exact["slope"] < 0.95  # a slope that could be told from one


def test_samples_that_the_mean_gets_wrong_are_in_the_means_and_not_in_the_line():
    """The line over margins -4 to 8 is that over 0 to 8: all classes are alike at 0."""
    whole, right = (
        population.population(Noise(sigma=0.7, margins=Margins(low, 8)), 6) for low in (-4, 0)
    )
    assert whole["slope"] == pytest.approx(right["slope"], rel=1e-7)
    assert whole["offset"] == pytest.approx(right["offset"], rel=1e-6)
    assert whole["bias_sq"] > 2 * right["bias_sq"]


def test_flipped_labels_are_in_the_means_and_not_in_the_line():
    straight, flipped = (population.population(Noise(flips=f), 5) for f in (0.0, 0.1))
    assert flipped["slope"] == pytest.approx(straight["slope"], rel=1e-12)
    assert flipped["variance"] == pytest.approx(straight["variance"], rel=1e-12)
    found = expected_means.expected_means(Noise(flips=0.1), 6, 5, 40_000, 0)
    for name in ("risk", "kl_risk"):
        assert abs(found[name][0] - flipped[name]) < 5 * found[name][1]


def test_values_of_samples_are_those_of_the_package():
    logits, target = simulate(Noise(flips=0.3), 6, 40, 4, np.random.default_rng(3))
    found, bins = expected_means.sample_values(logits, target)
    z, y = torch.from_numpy(logits), torch.from_numpy(target)
    columns = columns_of(decompose(moments(z, y), y)) | columns_of(cross_entropy(z, y))
    columns |= columns_of(zero_one(vote_counts(z.argmax(-1), 4), y))
    shared = set(found) & set(columns)
    assert {"bias_sq", "kl_bias", "variance_unbiased", "net_variance_01", "disagreement"} < shared
    for name in shared:
        np.testing.assert_allclose(found[name], columns[name].values.numpy(), atol=1e-11)
    assert bins[0].sum() == 40


def test_calibration_errors_are_of_infinitely_many_samples():
    """Two bins: 30% of samples with confidence - accuracy 0.2, the others with -0.1 on average."""
    one = np.array([[0.3, 0.7], [0.06, -0.07]])
    found = expected_means._confidence_errors(np.stack([one, one, one]))
    assert found["confidence_error"] == (pytest.approx(0.13), pytest.approx(0, abs=1e-12))
    assert found["confidence_error_squared"][0] == pytest.approx(0.3 * 0.04 + 0.7 * 0.01)


def test_a_truth_that_simulation_contradicts_is_refused(monkeypatch):
    cell = Cell("gauss", 8, 50, 3, "near_gaussian")
    truth = truths.truth_of(cell, samples=20_000)
    exact = population.population(NOISES["gauss"], 3)
    assert truth["slope"][0] == exact["slope"]
    assert truth["means"]["bias_sq"][0] == pytest.approx(exact["bias_sq"] + exact["variance"] / 8)
    gap = truth["means"]["gap"][0]
    parts = np.array([truth["means"][n] for n in ("uncertainty", "calibration_residual")])
    assert abs(gap - parts[:, 0].sum()) < 5 * parts[:, 1].sum()
    wrong = exact | {"variance": exact["variance"] * 1.5}
    monkeypatch.setattr(truths, "population", lambda *_: wrong)
    with pytest.raises(ValueError, match="gauss-M8-N50-K3: bias_sq must agree, got"):
        truths.truth_of(cell, samples=20_000)


def test_a_truth_of_another_definition_is_refused(tmp_path):
    cell = CELLS["gauss-M3-N1000-K10"]
    stored = json.loads(truths.FILE.read_text())
    stored[cell.name]["cell"]["noise"]["sigma"] = 2.0
    file = tmp_path / "truths.json"
    file.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="got one of another definition of the noise"):
        truths.read_truth(cell, file)
    with pytest.raises(ValueError, match="as cells.py defines it, got none"):
        truths.read_truth(cell, tmp_path / "absent.json")


def test_every_cell_has_its_truth_and_it_is_sharp():
    for cell in CELLS.values():
        truth = truths.read_truth(cell)
        if cell.group != "degenerate":
            assert truth["slope"][1] < 1e-5, cell.name
            assert truth["offset"][1] < 1e-4, cell.name
    stored = truths.read_truth(CELLS["growing-M8-N1000-K10"])
    assert stored["slope"][0] == pytest.approx(
        population.population(NOISES["growing"], 10)["slope"]
    )


def test_the_list_of_cells_is_what_was_promised():
    cells = list(CELLS.values())
    assert {cell.noise for cell in cells} == set(NOISES)
    assert {cell.group for cell in cells} == set(GROUPS)
    assert sum(name.startswith("new_") for name in NOISES) >= 6
    assert 55 <= len(cells) <= 65
    plain = [cell for cell in cells if cell.group != "degenerate"]
    assert {min(c.members for c in plain), max(c.members for c in plain)} == {3, 64}
    assert {cell.samples for cell in cells} == {300, 1000, 10_000}
    assert {2, 10, 100} <= {cell.classes for cell in cells}
    assert all(name == cell.name for name, cell in CELLS.items())
