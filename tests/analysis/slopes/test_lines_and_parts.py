"""Lines through clouds, errors of logarithms, selections, and slopes of parts of the test set."""

import json
import sys

import numpy as np
import pytest
import torch

from bvalign.analysis.slopes.estimators import ESTIMATORS
from bvalign.analysis.slopes.intervals import bootstrap_weights, estimate
from bvalign.analysis.slopes.jackknife import delete_one_errors
from bvalign.analysis.slopes.lines import cloud, covariance
from bvalign.analysis.slopes.member_subsets import THRESHOLD, design
from bvalign.analysis.slopes.pairs import PairSums
from bvalign.analysis.slopes.parts import class_slopes, decade_slopes
from bvalign.analysis.slopes.subset_values import subset_values
from bvalign.analysis.summary import analyze_blocks
from tests import ROOT, reference
from tests.ensembles import aligned_ensemble, random_ensemble
from tests.processes import run_process


def planned(logits, target, **options):
    plan = design(len(logits), curve_draws=0, **options)
    return plan, subset_values(logits, target, plan.sums, plan.error_rows)


def bending_ensemble(members=24, samples=1500, seed=1):
    """Gaussian noise that grows with the margin: the slope falls as bias_sq does."""
    rng = np.random.default_rng(seed)
    margin = rng.uniform(4, 16, size=samples)
    logits = (0.25 + 0.075 * margin)[:, None] * rng.standard_normal((members, samples, 3))
    logits[:, :, 0] += margin
    return torch.from_numpy(logits), torch.zeros(samples, dtype=torch.int64)


def noisy_line(seed=0, num=40_000):
    """A line y = 2 + 0.5 x with errors of variance 0.3 and 0.2 and covariance 0.1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=num)
    errors = rng.multivariate_normal([0, 0], [[0.3, 0.1], [0.1, 0.2]], size=num)
    return torch.from_numpy(x + errors[:, 0]), torch.from_numpy(2 + 0.5 * x + errors[:, 1])


def test_lines_equal_their_definitions():
    x, y = noisy_line(num=50)
    ones = torch.ones(1, 50, dtype=torch.float64)
    found = cloud(x, y, ones)
    slope, intercept, r_squared = reference.line(x.numpy(), y.numpy())
    line = found.line(found.least_squares())
    for key, value in (("slope", slope), ("intercept", intercept), ("r_squared", r_squared)):
        assert line[key].item() == pytest.approx(value, rel=1e-10)
    reverse = reference.line(y.numpy(), x.numpy())[0]
    assert found.reversed().item() == pytest.approx(1 / reverse, rel=1e-10)
    _, vectors = np.linalg.eigh(np.cov(x, y))  # the direction of largest spread
    assert found.orthogonal().item() == pytest.approx(vectors[1, 1] / vectors[0, 1], rel=1e-10)
    assert covariance(x, y, ones).item() == pytest.approx(found.xy.item(), rel=1e-10)


def test_known_errors_are_corrected():
    x, y = noisy_line()
    found = cloud(x, y, torch.ones(1, len(x), dtype=torch.float64))
    error_xx, error_xy = torch.tensor([0.3]).double(), torch.tensor([0.1]).double()
    # the standard error is about sqrt(1.3 * 0.55 / 40,000) = 0.004
    assert found.corrected(error_xx, error_xy).item() == pytest.approx(0.5, abs=0.016)
    assert found.least_squares().item() == pytest.approx(0.6 / 1.3, abs=0.016)
    assert found.corrected(10 * error_xx, error_xy).isnan().all()


def test_a_weight_is_a_repeated_point():
    logits, target = aligned_ensemble(members=12, samples=60)
    plan, values = planned(logits, target)
    counts = torch.from_numpy(np.random.default_rng(0).integers(0, 4, size=60))
    repeated = values.of_samples(torch.arange(60).repeat_interleave(counts))
    ones = torch.ones(1, int(counts.sum()), dtype=torch.float64)
    for name in set(ESTIMATORS) - {"cross_half"}:  # whose bins cut through equal samples
        weighted = ESTIMATORS[name].fit(values, plan.full, counts.double().unsqueeze(0))
        alone = ESTIMATORS[name].fit(repeated, plan.full, ones)
        assert set(weighted) == set(ESTIMATORS[name].numbers)
        for key, value in weighted.items():
            assert value.item() == pytest.approx(alone[key].item(), rel=1e-9), (name, key)


def test_delete_one_errors_equal_brute_force():
    logits, target = random_ensemble(members=5, samples=7, classes=4)
    logs = []
    for left_out in range(5):
        others = np.delete(logits.numpy(), left_out, axis=0)
        found = reference.bias_variance(others, target.numpy())
        logs.append((np.log(found["bias_sq"]), np.log(found["variance"])))
    x, y = np.moveaxis(np.array(logs), 0, -1)
    x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    errors = delete_one_errors(logits, target)
    for value, product in zip(errors, (x * x, y * y, x * y), strict=True):
        np.testing.assert_allclose(value.numpy(), 4 / 5 * product.sum(axis=1), rtol=1e-10)


def test_delete_one_errors_keep_digits_where_one_member_dominates():
    """Without the last member 1 - p_y is 2e-17 times what it is with it."""
    logits = torch.zeros(4, 1, 2, dtype=torch.float64)
    logits[:, 0, 0] = torch.tensor([40.0, 39.0, 38.0, 0.0])
    a = 1 / (1 + np.exp([40.0, 39.0, 38.0, 0.0]))
    logs = [2 * np.log(np.delete(a, left_out).mean()) for left_out in range(4)]
    found = delete_one_errors(logits, torch.tensor([0])).bias_sq.item()
    assert found == pytest.approx(3 * np.var(logs), rel=1e-12)


def test_delete_one_errors_need_three_members():
    logits, target = random_ensemble(members=2)
    with pytest.raises(ValueError, match="need three members, got 2"):
        delete_one_errors(logits, target)


def test_errors_predict_the_scatter_over_ensembles():
    """500 ensembles of 16 members on one sample of two classes; both kinds of errors."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 * torch.randn(16, 500, 2, generator=generator, dtype=torch.float64)
    logits = noise + torch.tensor([8.0, 0.0])
    target = torch.zeros(500, dtype=torch.int64)
    values = subset_values(logits, target, PairSums(torch.ones(1, 16).bool()), (0,))
    x, y = values.bias_sq_unbiased[0].log(), values.variance_unbiased[0].log()
    scatter = torch.stack([x.var(), y.var(), ((x - x.mean()) * (y - y.mean())).mean()])
    for errors in (values.errors(0), delete_one_errors(logits, target)):
        mean = torch.stack([e.mean() for e in errors])
        # a variance of 500 skewed values is known to 10%, the errors themselves are O(1/M) off
        torch.testing.assert_close(mean, scatter, rtol=0.35, atol=0)


def test_reversed_lies_above_orthogonal_above_ols():
    plan, values = planned(*aligned_ensemble())
    weights = torch.ones(1, 900, dtype=torch.float64)
    ols, orthogonal, reverse = (
        ESTIMATORS[name].fit(values, plan.full, weights)["slope"].item()
        for name in ("ols", "orthogonal", "reversed")
    )
    assert ols < orthogonal < reverse


def test_split_half_equals_its_definition():
    logits, target = aligned_ensemble(members=4, samples=200, sigma=2)
    plan, values = planned(logits, target)
    above = below = 0
    for pair in plan.full.halves:
        for a, b in (pair, pair[::-1]):
            parts = [
                reference.bias_variance(logits[plan.subsets[row]].numpy(), target.numpy())
                for row in (a, b)
            ]
            correct = values.correct[a].numpy()
            x_a, x_b = (np.log(part["bias_sq_unbiased"][correct]) for part in parts)
            y_b = np.log(parts[1]["variance_unbiased"][correct])
            above += np.cov(y_b, x_a, bias=True)[0, 1]
            below += np.cov(x_b, x_a, bias=True)[0, 1]
    weights = torch.ones(1, 200, dtype=torch.float64)
    found = ESTIMATORS["split_half"].fit(values, plan.full, weights)["slope"].item()
    assert found == pytest.approx(above / below, rel=1e-7)  # the reference forms p_y - 1


@pytest.mark.parametrize(
    ("name", "members", "reason"),
    [
        ("split_half", 3, "needs 4 members, two halves of two; there are 3"),
        ("corrected", 2, "needs 3 members, two when one is left out; there are 2"),
    ],
)
def test_too_few_members_give_a_reason(name, members, reason):
    plan, values = planned(*aligned_ensemble(members=members, samples=50))
    found = estimate(ESTIMATORS[name], values, plan, bootstrap_weights(50, 0))
    assert found["slope"].reason == reason


def test_selections_choose_their_judges():
    logits, target = bending_ensemble(members=9, samples=80)
    plan, values = planned(logits, target, selection="other")
    for row, judge in plan.full.clouds:
        assert plan.subsets[row].sum() == 6
        assert torch.equal(plan.subsets[row], ~plan.subsets[judge])
    assert plan.select(values) is values
    plan, values = planned(logits, target, selection="threshold")
    expected = values.bias_sq_unbiased < THRESHOLD
    assert torch.equal(plan.select(values).correct, expected)
    plan, _ = planned(logits, target)
    assert plan.full.clouds == ((plan.full.whole, plan.full.whole),)


@pytest.mark.parametrize("selection", ["same", "other", "threshold"])
def test_analyze_takes_a_selection(selection):
    logits, target = aligned_ensemble(members=6, samples=120)
    found = analyze_blocks([(logits, target)], torch.arange(120), 6, selection=selection)
    for name in ESTIMATORS:
        numbers = found.alignment.estimators[name]
        assert all(e.value is not None for e in numbers.values()), name


def test_two_members_cannot_be_judged_by_others():
    plan, values = planned(*aligned_ensemble(members=2, samples=50), selection="other")
    found = estimate(ESTIMATORS["ols"], values, plan, bootstrap_weights(50, 0))
    assert "needs two members" in found["slope"].reason


def test_class_slopes_are_those_of_the_samples_of_a_class():
    logits, target = aligned_ensemble(samples=400, classes=3)
    target[target == 1] = 2  # a class that does not occur
    plan, values = planned(logits, target)
    found = class_slopes(values, target, plan)
    assert list(found) == [0, 2]
    alone = planned(logits[:, target == 2], target[target == 2])[1]
    weights = bootstrap_weights(alone.correct.shape[1], 0)
    expected = estimate(ESTIMATORS["split_half"], alone, plan, weights)
    assert found[2].slope.value == pytest.approx(expected["slope"].value, rel=1e-12)
    assert found[2].samples == int(alone.correct[plan.full.whole].sum())


def test_decade_slopes_see_a_line_that_bends():
    plan, values = planned(*bending_ensemble())
    found = decade_slopes(values, plan)
    assert sum(part.samples for part in found.values()) == values.correct[plan.full.whole].sum()
    large = {k: part.slope for k, part in found.items() if part.samples >= 150}
    assert len(large) >= 4
    assert all(s.interval[0] < s.value < s.interval[1] for s in large.values())


def test_decade_slopes_of_a_straight_line_are_one():
    """Sorted by their own noisy values, samples within a decade would look flat."""
    plan, values = planned(*aligned_ensemble(members=24, samples=2000))
    large = [part.slope for part in decade_slopes(values, plan).values() if part.samples >= 100]
    inside = [low < 1 < high for low, high in (slope.interval for slope in large)]
    assert np.mean(inside) >= 0.8
    assert np.mean([slope.value for slope in large]) == pytest.approx(1, abs=0.04)


def test_excess_quantiles_are_those_of_variance_minus_bias_sq():
    logits, target = random_ensemble(members=6, samples=30, scale=4)
    found = analyze_blocks([(logits, target)], torch.arange(30), 6)
    d = found.samples.decomposition
    excess = np.maximum((d.variance - d.bias_sq).numpy(), 0)
    assert found.excess_quantiles()["plug_in"]["0.9"] == pytest.approx(np.quantile(excess, 0.9))
    assert (excess > 0).any()


def test_the_curve_holds_means_and_r_squared():
    logits, target = aligned_ensemble(members=12, samples=100)
    found = analyze_blocks([(logits, target)], torch.arange(100), 12)
    rows = {(r["estimator"], r["number"], r["members"]): r["mean"] for r in found.alignment.curve}
    d = found.samples.decomposition
    assert rows["mean", "bias_sq", 12] == pytest.approx(float(d.bias_sq.mean()), rel=1e-12)
    assert rows["mean", "variance", 12] == pytest.approx(float(d.variance.mean()), rel=1e-12)
    assert rows["mean", "variance", 2] < rows["mean", "variance", 12]
    expected = found.alignment.estimators["ols"]["r_squared"].value
    assert rows["ols", "r_squared", 12] == pytest.approx(expected)


def test_the_experiment_runs(tmp_path):
    script = ROOT / "experiments" / "estimators" / "run.py"
    options = "--repetitions 2 --num_samples 60 --members 8 --laws shared gumbel --points 4"
    command = [sys.executable, str(script), *options.split(), "--out", str(tmp_path)]
    run_process(command)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["law"] for row in rows} == {"shared", "gumbel"}
    assert {row["runs"] for row in rows if row["estimator"] == "ols"} == {2}
    gumbel = next(r for r in rows if (r["law"], r["estimator"]) == ("gumbel", "ols"))
    assert gumbel["bias"] > 0.1  # the known failure
    assert "| gumbel | wide | 8 | ols |" in (tmp_path / "results.md").read_text()
