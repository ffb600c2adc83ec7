"""Lines through clouds of points, against NumPy's."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import decompose, moments
from bvalign.analysis.slopes.lines import cloud, line_sums, log_log_line
from tests import reference
from tests.ensembles import random_ensemble

NUMBERS = ("slope", "intercept", "r_squared")


def noisy_line(seed=0, num=40_000):
    """A line y = 2 + 0.5 x with errors of variance 0.3 and 0.2 and covariance 0.1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=num)
    errors = rng.multivariate_normal([0, 0], [[0.3, 0.1], [0.1, 0.2]], size=num)
    return torch.from_numpy(x + errors[:, 0]), torch.from_numpy(2 + 0.5 * x + errors[:, 1])


def check_line(found, x, y, rel=1e-10):
    for name, expected in zip(NUMBERS, reference.line(x, y), strict=True):
        assert found[name].item() == pytest.approx(expected, rel=rel), name


def test_a_line_is_that_of_numpy():
    x, y = noisy_line(num=50)
    ones = torch.ones(1, 50, dtype=torch.float64)
    check_line(cloud(x, y, ones).line(), x.numpy(), y.numpy())


def test_a_weight_is_a_repeated_point():
    x, y = noisy_line(num=50)
    counts = torch.from_numpy(np.random.default_rng(0).integers(0, 4, size=(3, 50)))
    found = cloud(x, y, counts.double()).line()
    for row, times in enumerate(counts):
        one = {name: value[row] for name, value in found.items()}
        check_line(one, x.repeat_interleave(times).numpy(), y.repeat_interleave(times).numpy())


def test_sums_of_sets_give_the_line_of_the_points_that_each_keeps():
    rng = np.random.default_rng(1)
    x, y = rng.normal(-8, 3, size=(2, 3, 40))
    keep = torch.from_numpy(rng.random((3, 40)) < 0.7)
    x[~keep.numpy()] = np.nan  # logarithms of what has none
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    halves = [line_sums(*(v[:, r] for v in (*tensors, keep))) for r in (slice(20), slice(20, 40))]
    joined = type(halves[0])(*(a + b for a, b in zip(*halves, strict=True)))
    found = joined.cloud()
    for row in range(3):
        kept = keep[row].numpy()
        one = {name: value[row] for name, value in found.line().items()}
        check_line(one, x[row, kept], y[row, kept], rel=1e-9)
        assert joined.count[row] == kept.sum()
        assert found.yy[row].item() == pytest.approx(np.var(y[row, kept]), rel=1e-9)


def test_known_errors_are_taken_off():
    x, y = noisy_line()
    found = cloud(x, y, torch.ones(1, len(x), dtype=torch.float64))
    # the standard error is about sqrt(1.3 * 0.55 / 40,000) = 0.004
    assert found.slope(0.3, 0.1).item() == pytest.approx(0.5, abs=0.016)
    assert found.slope().item() == pytest.approx(0.6 / 1.3, abs=0.016)
    assert found.slope(3.0, 0.1).isnan().all()  # more error than there is spread


def test_logarithms_are_taken_where_there_are_any():
    logits, target = random_ensemble(members=5, samples=60, scale=4)
    d = decompose(moments(logits, target), target)
    bias_sq, variance = d.bias_sq.clone(), d.variance.clone()
    bias_sq[:3], variance[3:6] = 0, 0
    kept = (d.correct & (torch.arange(60) > 5)).numpy()
    assert 3 < kept.sum() < 54
    line = log_log_line(bias_sq, variance, d.correct)
    assert line["slope"].shape == (1,)
    check_line(line, np.log(bias_sq.numpy()[kept]), np.log(variance.numpy()[kept]))
    counts = torch.stack([d.correct.double(), torch.ones(60).double()])
    weighted = log_log_line(bias_sq, variance, replicate_weights=counts)["slope"]
    everything = log_log_line(bias_sq, variance)["slope"]
    torch.testing.assert_close(weighted, torch.cat([line["slope"], everything]), rtol=1e-12, atol=0)


def test_a_line_of_nothing_is_undefined():
    none = torch.zeros(4, dtype=torch.float64)
    assert all(value.isnan().all() for value in log_log_line(none, none).values())
    nowhere = line_sums(none.unsqueeze(0), none.unsqueeze(0), torch.zeros(1, 4).bool())
    assert all(value.isnan().all() for value in nowhere.cloud().line().values())


@pytest.mark.parametrize("number", range(2, 30))
def test_sums_of_equal_points_have_no_line_however_they_are_rounded(number):
    place, all_of_them = torch.full((1, number), 0.3).double().log(), torch.ones(1, number).bool()
    line = line_sums(place, 3 * place, all_of_them).cloud().line()
    assert not any(value.isfinite() for value in (line["slope"], line["r_squared"]))
