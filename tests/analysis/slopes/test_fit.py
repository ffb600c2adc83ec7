import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.slopes.estimators import ESTIMATORS
from bvalign.analysis.slopes.intervals import bootstrap_weights, estimate
from bvalign.analysis.slopes.member_subsets import design
from bvalign.analysis.slopes.pairs import PairSums
from bvalign.analysis.slopes.subset_values import concatenate, subset_values
from bvalign.analysis.summary import analyze_blocks
from tests import reference
from tests.ensembles import aligned_ensemble, random_ensemble


def fitted(logits, target):
    blocks = [(logits[:, i : i + 101], target[i : i + 101]) for i in range(0, len(target), 101)]
    return analyze_blocks(blocks, torch.arange(len(target)), len(logits))


def test_subsets_equal_the_function_on_those_members():
    logits, target = random_ensemble(members=6, samples=9, scale=20)
    subsets = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 1]]).bool()
    values = subset_values(logits, target, PairSums(subsets))
    for row, mask in enumerate(subsets):
        expected = decompose(moments(logits[mask], target), target)
        found = (values.bias_sq_unbiased[row], values.variance_unbiased[row])
        for a, b in zip(found, expected[3:5], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
        torch.testing.assert_close(values.bias_sq(row), expected.bias_sq, rtol=1e-12, atol=0)
        torch.testing.assert_close(values.variance(row), expected.variance, rtol=1e-12, atol=0)
        assert torch.equal(values.correct[row], expected.correct)


def test_subsets_keep_digits_where_one_member_dominates():
    logits = torch.tensor([[[40.0, 0.0, 0.0]]] * 3 + [[[0.5, 0.0, 0.0]]], dtype=torch.float64)
    without = torch.tensor([[True, True, True, False]])
    values = subset_values(logits, torch.tensor([0]), PairSums(without))
    alone = decompose(moments(logits[:3], torch.tensor([0])), torch.tensor([0]))
    assert float(values.bias_sq_unbiased) == pytest.approx(float(alone.bias_sq_unbiased), rel=1e-12)
    assert float(values.variance_unbiased) == 0


def test_ols_equals_the_reference_and_blocks_do_not_matter():
    logits, target = aligned_ensemble(members=6, samples=404)
    found = fitted(logits, target)
    d = decompose(moments(logits, target), target)
    x, y = (v[d.correct].log().numpy() for v in (d.bias_sq, d.variance))
    ols = found.alignment.estimators["ols"]
    for key, value in zip(("slope", "intercept", "r_squared"), reference.line(x, y), strict=True):
        assert ols[key].value == pytest.approx(value, rel=1e-9)
    one = found.alignment.estimators["slope_one"]
    assert one["offset"].value == pytest.approx(float(np.mean(y - x)), rel=1e-9)
    assert one["spread"].value == pytest.approx(float(np.std(y - x)), rel=1e-9)
    whole = analyze_blocks([(logits, target)], torch.arange(len(target)), len(logits))
    assert whole.alignment.estimators["ols"]["slope"] == ols["slope"]


def test_light_tailed_noise_gives_slope_one_within_the_interval():
    logits, target = aligned_ensemble()
    estimators = fitted(logits, target).alignment.estimators
    for name in ("cross_half", "ols_unbiased"):
        low, high = estimators[name]["slope"].interval
        assert low < 1 < high, name
        assert high - low < 0.1


def test_a_slope_below_one_is_found():
    """Noise whose scale grows with the margin: variance falls slower than squared bias."""
    rng = np.random.default_rng(3)
    num = 2000
    margin = rng.uniform(4, 14, size=num)
    scale = 0.25 + 0.05 * margin
    logits = scale[None, :, None] * rng.standard_normal((12, num, 2))
    logits[:, :, 0] += margin
    logits, target = torch.from_numpy(logits), torch.zeros(num, dtype=torch.int64)
    # truth: the difference of the two logits is N(margin, 2 scale²); 400,001 point quadrature
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    a = 1 / (1 + np.exp(margin[:, None] + np.sqrt(2) * scale[:, None] * grid))
    mean = a @ density
    variance = ((a - mean[:, None]) ** 2) @ density
    truth = np.polyfit(np.log(2 * mean**2), np.log(2 * variance), 1)[0]
    estimate = fitted(logits, target).alignment.estimators["cross_half"]["slope"]
    assert truth < 0.93
    assert estimate.value == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize(
    ("members", "reason"),
    [(1, "needs two members"), (4, "needs 6 members, three groups of two; there are 4")],
)
def test_too_few_members_give_a_reason(members, reason):
    logits, target = aligned_ensemble(members=members, samples=100)
    estimate = fitted(logits, target).alignment.estimators["cross_half"]["slope"]
    assert estimate.value is None
    assert reason in estimate.reason


def test_no_correct_samples_give_a_reason():
    logits, target = aligned_ensemble(samples=100)
    wrong = (target + 1) % 5
    estimators = fitted(logits, wrong).alignment.estimators
    assert "there are 0" in estimators["ols"]["slope"].reason
    assert "there are 0" in estimators["slope_one"]["offset"].reason


def test_groups_that_find_too_few_correct_samples_are_skipped():
    logits, target = aligned_ensemble(members=6, samples=40, sigma=6)
    estimate = fitted(logits, target).alignment.estimators["cross_half"]["slope"]
    assert estimate.value is None or np.isfinite(estimate.value)


def test_identical_members_are_dropped_and_counted():
    logits, target = aligned_ensemble(members=1, samples=50)
    found = fitted(logits.repeat(8, 1, 1), target).alignment
    assert found.dropped == {"zero variance": 50}
    assert found.estimators["ols"]["slope"].value is None


def test_the_curve_ends_at_the_full_ensemble():
    logits, target = aligned_ensemble(members=12, samples=300)
    found = fitted(logits, target).alignment
    rows = [r for r in found.curve if (r["estimator"], r["number"]) == ("ols", "slope")]
    assert [row["members"] for row in rows] == [2, 4, 8, 12]
    assert rows[-1]["mean"] == pytest.approx(found.estimators["ols"]["slope"].value)


def test_the_interval_over_members_covers_their_spread():
    """Over independent ensembles the slopes scatter as the half-samples of one say."""
    slopes, widths = [], []
    for seed in range(12):
        rng = np.random.default_rng(0)  # the same samples for all ensembles
        margin = rng.uniform(4, 12, size=150)
        noise = np.random.default_rng(100 + seed).standard_normal((16, 150, 3))
        noise[:, :, 0] += margin
        target = torch.zeros(150, dtype=torch.int64)
        plan = design(16)
        logits = torch.from_numpy(noise)
        values = subset_values(logits, target, plan.sums)
        slope = estimate(ESTIMATORS["ols"], values, plan, bootstrap_weights(150, 0))["slope"]
        slopes.append(slope.value)
        widths.append((slope.interval_members[1] - slope.interval_members[0]) / (2 * 1.96))
    # chi with 11 degrees of freedom lies within a factor of two of its mean with p > 0.99
    assert 0.5 < np.std(slopes, ddof=1) / np.mean(widths) < 2


def test_blocks_of_subsets_join():
    logits, target = random_ensemble(members=6, samples=9)
    plan = design(6)
    rows = plan.error_rows
    whole = subset_values(logits, target, plan.sums, rows)
    parts = [
        subset_values(logits[:, i : i + 4], target[i : i + 4], plan.sums, rows) for i in (0, 4, 8)
    ]
    joined = concatenate(parts)
    for a, b in zip([*whole[:4], *whole[4]], [*joined[:4], *joined[4]], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0, equal_nan=True)
