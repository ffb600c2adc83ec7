"""Least squares of these members: the line, its influences, members left out, coverage."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import Decomposition, decompose, moments, softmax
from bvalign.analysis.groups import (
    leave_one_out,
    member_groups,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.slopes.lines import line_sums
from bvalign.analysis.slopes.logit_values import LogErrors
from bvalign.analysis.slopes.ols import _influences, ols
from tests import reference
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, mixed_ensemble, random_ensemble

NUMBERS = ("slope", "intercept", "r_squared")


def logs_without(logits, target):
    """Log bias_sq and log variance of the samples that are right, without each member; loops."""
    found = []
    for gone in range(len(logits)):
        left = np.delete(logits.numpy(), gone, axis=0)
        values = reference.bias_variance(left, target.numpy())
        right = softmax(torch.from_numpy(left)).mean(dim=0).argmax(dim=-1) == target
        found.append((np.log(values["bias_sq"]), np.log(values["variance"]), right.numpy()))
    return found


def quick(logits, target):
    """`ols` of one range, with what it is given."""
    groups, given = member_groups(len(logits)), residuals(softmax(logits), target)
    without = set_values(leave_one_out(member_sums(given, groups)), given)
    x, y = without.bias_sq.log(), without.variance.log()
    dx, dy, scale = x - x.mean(dim=0), y - y.mean(dim=0), (len(x) - 1) / len(x)
    errors = LogErrors(*((a * b).sum(dim=0) * scale for a, b in ((dx, dx), (dy, dy), (dx, dy))))
    return ols(decompose(moments(logits, target), target), errors, line_sums(x, y, without.correct))


def test_the_line_is_that_of_numpy_over_the_correct_samples():
    logits, target = mixed_ensemble(members=6, samples=150)
    found = analysed(logits, target).alignment
    d = decompose(moments(logits, target), target)
    assert 30 < d.correct.sum() < 150
    x, y = (v[d.correct].log().numpy() for v in (d.bias_sq, d.variance))
    for name, expected in zip(NUMBERS, reference.line(x, y), strict=True):
        assert found.ols[name].value == pytest.approx(expected, rel=1e-9), name
    assert found.num_correct == d.correct.sum()


def test_the_interval_over_members_is_that_of_lines_without_each():
    logits, target = mixed_ensemble(members=5, samples=80)
    found = analysed(logits, target)
    without = logs_without(logits, target)
    lines = np.array([reference.line(x[right], y[right]) for x, y, right in without])
    of_members = 4 * lines.var(axis=0)
    x, y = (np.array([w[place] for w in without]) for place in (0, 1))
    errors = 4 * x.var(axis=0), 4 * y.var(axis=0), 4 * ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    columns = found.table.columns()
    for name, square in (("log_bias_sq_error", errors[0]), ("log_variance_error", errors[1])):
        np.testing.assert_allclose(columns[name].values.numpy(), np.sqrt(square), rtol=1e-7)
    d = found.table.decomposition
    right = d.correct.numpy()
    assert right.sum() < 80
    xs, ys = (v.log().numpy()[right] for v in (d.bias_sq, d.variance))
    n = len(xs)
    for place, name in enumerate(NUMBERS):
        # by one sample's logarithms, by central differences
        gradient = np.zeros((2, n))
        for i in range(n):
            for axis in range(2):
                ends = []
                for sign in (1, -1):
                    moved = [xs.copy(), ys.copy()]
                    moved[axis][i] += sign * 1e-5
                    ends.append(reference.line(*moved)[place])
                gradient[axis, i] = (ends[0] - ends[1]) / 2e-5
        i, j = gradient
        a, b, c = (e[right] for e in errors)
        both = (i**2 * a + 2 * i * j * c + j**2 * b).sum()
        number = found.alignment.ols[name]
        assert number.variances.members == pytest.approx(of_members[place], rel=1e-5), name
        assert number.variances.both == pytest.approx(both, rel=1e-5), name
        assert number.variances.groups == 5


def test_influences_are_derivatives_by_the_weight_of_a_sample():
    rng = np.random.default_rng(0)
    x = rng.normal(-8, 2, size=30)
    y = 0.8 * x + rng.normal(size=30)

    def line(weights):
        mean_x, mean_y = np.average(x, weights=weights), np.average(y, weights=weights)
        dx, dy = x - mean_x, y - mean_y
        xx, xy, yy = (np.average(v, weights=weights) for v in (dx * dx, dx * dy, dy * dy))
        return np.array([xy / xx, mean_y - xy / xx * mean_x, xy**2 / (xx * yy)])

    numbers = dict(zip(NUMBERS, line(np.ones(30)).tolist(), strict=True))
    found = _influences(torch.from_numpy(x), torch.from_numpy(y), numbers)
    for n in range(30):
        step = 1e-6 * (np.arange(30) == n)
        slopes = 30 * (line(1 + step) - line(1 - step)) / 2e-6
        for place, name in enumerate(NUMBERS):
            assert found[name].sample[n].item() == pytest.approx(slopes[place], rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_intervals_cover_the_line_of_other_ensembles_of_as_many_members():
    """Fresh samples and members each time: 300 draws know 95% to 1.3%."""
    rng, found = np.random.default_rng(5), []
    target = torch.zeros(120, dtype=torch.int64)
    for _ in range(300):
        logits = rng.standard_normal((8, 120, 3))
        logits[:, :, 0] += rng.uniform(4, 12, size=120)
        found.append(quick(torch.from_numpy(logits), target))
    for name in NUMBERS:
        truth = np.mean([f[name].value for f in found])
        hits = [f[name].interval[0] <= truth <= f[name].interval[1] for f in found]
        assert 0.91 <= np.mean(hits) <= 0.99, name


@pytest.mark.parametrize("members", [1, 2])
def test_few_members_have_a_line_without_an_interval_over_members(members):
    found = analysed(*aligned_ensemble(members=members, samples=60)).alignment.ols
    if members == 1:
        assert "needs two members" in found["slope"].reason
        return
    assert found["slope"].value == pytest.approx(1, abs=0.1)
    assert found["slope"].interval is None
    assert "needs three of them" in found["slope"].reason


def test_few_correct_samples_and_samples_that_do_not_vary_have_a_reason():
    logits, target = aligned_ensemble(members=6, samples=50)
    none = analysed(logits, (target + 1) % 5).alignment
    assert none.ols["r_squared"].reason == (
        "needs 3 correct samples with variance above zero; there are 0"
    )
    same = logits[:, :1].repeat(1, 50, 1)
    alike = analysed(same, target[:1].repeat(50)).alignment
    assert "do not vary" in alike.ols["slope"].reason


def test_members_that_agree_are_dropped_and_counted():
    logits, target = aligned_ensemble(members=8, samples=60)
    logits[:, :20] = logits[:1, :20]
    found = analysed(logits, target).alignment
    assert found.dropped == {"zero variance": 20}
    d = decompose(moments(logits[:, 20:], target[20:]), target[20:])
    line = reference.line(d.bias_sq.log().numpy(), d.variance.log().numpy())
    assert found.ols["slope"].value == pytest.approx(line[0], rel=1e-9)
    assert analysed(logits[:, 20:], target[20:]).alignment.dropped == {}


def test_values_that_agree_without_one_member_leave_an_interval():
    """Three members, of which two are the same on some samples: no logarithm without the third."""
    logits, target = aligned_ensemble(members=3, samples=80)
    plain = analysed(logits, target).alignment.ols["slope"]
    logits[0, :10] = logits[1, :10]
    found = analysed(logits, target)
    for name in NUMBERS:
        assert np.isfinite(found.alignment.ols[name].interval).all(), name
    slope = found.alignment.ols["slope"]
    # as wide as without that, where the rounding of equal members would be points 60 nats away
    widths = [e.interval_members[1] - e.interval_members[0] for e in (slope, plain)]
    assert widths[0] < 2 * widths[1]
    errors = found.columns()["log_variance_error"].values
    assert errors[:10].isnan().all()
    assert errors[10:].isfinite().all()


def test_a_perfect_line_has_r_squared_of_one_inside_its_interval():
    logits, target = random_ensemble(members=4, samples=30)
    x = torch.linspace(-9, -2, 30, dtype=torch.float64)
    values = decompose(moments(logits, target), target)
    fields = values._asdict() | {
        "bias_sq": x.exp(),
        "variance": (x / 3).exp(),
        "correct": torch.ones(30).bool(),
    }
    errors = LogErrors(*(torch.zeros(30, dtype=torch.float64) for _ in range(3)))
    sums = line_sums(x.expand(4, 30), x.expand(4, 30) / 3, torch.ones(4, 30).bool())
    found = ols(Decomposition(**fields), errors, sums)["r_squared"]
    assert found.value == pytest.approx(1, abs=1e-12)
    assert found.value <= 1
    assert found.interval[0] <= found.value <= found.interval[1]
