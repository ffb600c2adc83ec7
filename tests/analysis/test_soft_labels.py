"""The analysis against soft labels: means over labels drawn from them, and what is left out."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import log_moments_of, member_probs, moments_of, softmax
from bvalign.analysis.decompositions.other_losses import decompose_logs
from bvalign.analysis.decompositions.soft_labels import noise_of, soft_labels_of
from bvalign.analysis.decompositions.squared_loss import decompose
from bvalign.analysis.groups import member_groups, residuals
from bvalign.analysis.sizes import unions
from bvalign.analysis.slopes.drawn import drawn_block
from tests.analysed import analysed, estimates
from tests.ensembles import mixed_ensemble
from tests.reference_losses import mp

OVER_LABELS = ("risk", "kl_risk", "gap", "calibration_residual", "gap_unbiased", "weighted_risk")
LEFT_OUT = ("logit_slope", "hard_equality", "collapse", "temperature")
WEIGHTS = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0]


def ensemble(samples=90, classes=4, members=6, seed=0):
    """Logits, and soft labels that are one-hot in every third row."""
    logits, target = mixed_ensemble(members, samples, classes, seed)
    generator = torch.Generator().manual_seed(seed)
    soft = torch.rand(samples, classes, generator=generator, dtype=torch.float64) ** 3
    soft[torch.arange(samples), target] += 1
    soft[::3] = torch.nn.functional.one_hot(target, classes).double()[::3]
    return logits, soft / soft.sum(dim=1, keepdim=True)


def of_soft(logits, soft, **given):
    return analysed(logits, soft.argmax(dim=1), soft=soft, **given)


def test_values_are_means_over_labels_drawn_from_the_soft_ones():
    logits, soft = ensemble()
    found = of_soft(logits, soft, member_weights=WEIGHTS)
    each = [
        analysed(logits, torch.full((90,), k), member_weights=WEIGHTS).columns() for k in range(4)
    ]

    def drawn(name):
        return sum(soft[:, k] * values[name].values for k, values in enumerate(each)).numpy()

    for name in OVER_LABELS:
        assert found[name] == pytest.approx(drawn(name), rel=1e-11, abs=1e-14), name
    for prefix in ("", "weighted_"):
        for name in (f"{prefix}bias_sq", f"{prefix}bias_sq_unbiased"):
            assert found["noise"] + found[name] == pytest.approx(drawn(name), rel=1e-11), name
        parts = found["noise"] + found[f"{prefix}bias_sq"] + found[f"{prefix}variance"]
        assert found[f"{prefix}risk"] == pytest.approx(parts, rel=1e-12)
    kl_parts = found["kl_noise"] + found["kl_bias"] + found["kl_variance"]
    assert found["kl_risk"] == pytest.approx(kl_parts, rel=1e-12)
    assert np.array_equal(found["label"], soft.argmax(dim=1))
    assert np.array_equal(found["correct"], found["prediction"] == found["label"])


def test_values_are_those_of_plain_loops():
    logits, soft = ensemble()
    found, probs, q = of_soft(logits, soft), softmax(logits).numpy(), soft.numpy()
    for i in range(90):
        mean = probs[:, i].mean(axis=0)
        centre = np.exp(np.log(probs[:, i]).mean(axis=0))
        centre /= centre.sum()
        some = q[i] > 0
        expected = {
            "noise": 1 - (q[i] ** 2).sum(),
            "bias_sq": ((mean - q[i]) ** 2).sum(),
            "variance": np.mean([((p - mean) ** 2).sum() for p in probs[:, i]]),
            "kl_noise": -(q[i][some] * np.log(q[i][some])).sum(),
            "kl_bias": (q[i][some] * np.log(q[i][some] / centre[some])).sum(),
            "calibration_residual": 2 * mean @ (mean - q[i]),
        }
        for name, value in expected.items():
            assert found[name][i] == pytest.approx(value, rel=1e-9, abs=1e-14), (name, i)


@pytest.mark.parametrize("margin", [3.0, 30.0])
def test_small_bias_keeps_its_digits(margin):
    logits = torch.tensor([[[margin, 0.0, -1.0]], [[margin + 1e-3, 0.0, -1.0]]]).double()
    soft = softmax(torch.tensor([[margin + 1e-4, 0.0, -1.0]]).double())
    labels = soft_labels_of(soft)
    probs = member_probs(logits)
    squared = decompose(
        moments_of(probs.probs, labels.target, labels.offset), labels.target, labels.offset
    )
    logs = decompose_logs(log_moments_of(probs.log_probs), labels.target, labels=labels)
    q = [mp.mpf(v) for v in soft[0, 1:].tolist()]
    q = [1 - mp.fsum(q), *q]
    members = [[mp.exp(mp.mpf(v)) for v in row] for row in logits[:, 0].tolist()]
    members = [[v / mp.fsum(row) for v in row] for row in members]
    mean = [mp.fsum(column) / 2 for column in zip(*members, strict=True)]
    centre = [mp.sqrt(a * b) for a, b in zip(*members, strict=True)]
    centre = [v / mp.fsum(centre) for v in centre]
    noise = noise_of(labels)
    for value, expected in (
        (squared.bias_sq, mp.fsum((a - b) ** 2 for a, b in zip(mean, q, strict=True))),
        (noise.noise, 1 - mp.fsum(v**2 for v in q)),
        (noise.kl_noise, -mp.fsum(v * mp.log(v) for v in q)),
        (logs.kl_bias, mp.fsum(a * mp.log(a / b) for a, b in zip(q, centre, strict=True))),
    ):
        assert value.item() == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("given", [{}, {"member_weights": WEIGHTS}, {"clusters": None}])
def test_one_hot_labels_give_every_number_of_class_ids_to_the_last_digit(given):
    logits, soft = ensemble()
    target = soft.argmax(dim=1)
    if "clusters" in given:
        given = {"clusters": torch.arange(90) // 2}
    one_hot = torch.nn.functional.one_hot(target, 4).double()
    single, found = analysed(logits, target, **given), of_soft(logits, one_hot, **given)
    expected = dict(estimates(single))
    for path, number in estimates(found):
        if "noise" in path:
            assert number.value == 0
        elif not any(name in path for name in LEFT_OUT):
            assert number == expected[path], path
    for name, column in single.columns().items():
        if "influence" not in name:
            assert np.array_equal(found[name], column.values.numpy(), equal_nan=True), name


def test_one_hot_rows_keep_their_digits_beside_others():
    logits, soft = ensemble()
    single, found = analysed(logits, soft.argmax(dim=1)), of_soft(logits, soft)
    for name, column in single.columns().items():
        if "influence" not in name:
            assert np.array_equal(found[name][::3], column.values.numpy()[::3]), name
    assert (found["noise"][::3] == 0).all()
    assert (np.delete(found["bias_sq"] - single["bias_sq"], np.s_[::3]) != 0).all()


def test_intervals_hold_what_the_members_add():
    logits, soft = ensemble()
    found = dict(estimates(of_soft(logits, soft)))
    without = [
        dict(estimates(of_soft(logits[[m for m in range(6) if m != left]], soft)))
        for left in range(6)
    ]
    names = [f".means.{name}" for name in ("risk", "bias_sq", "bias_sq_unbiased", "kl_risk")]
    names += [f".calibration.gap.{name}" for name in ("gap", "calibration_residual")]
    names += [".calibration.soft_equality.error", ".calibration.soft_equality.difference"]
    for name in (*names, ".alignment.ols.slope"):
        values = np.array([numbers[name].value for numbers in without])
        expected = 5 / 6 * ((values - values.mean()) ** 2).sum()
        assert found[name].variances.members == pytest.approx(expected, rel=1e-9), name
    noise = found[".means.noise"]
    assert noise.interval == noise.interval_samples
    assert noise.reason is None


def test_lines_use_the_soft_squared_bias_of_samples_whose_most_probable_label_is_hit():
    logits, soft = ensemble(samples=400)
    found = of_soft(logits, soft)
    right = found["correct"]
    x, y = np.log(found["bias_sq"][right]), np.log(found["variance"][right])
    assert found.alignment.ols["slope"].value == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-9)
    single = analysed(logits, soft.argmax(dim=1)).alignment
    assert found.alignment.cross_half["slope"].value != single.cross_half["slope"].value
    assert found.alignment.num_correct == single.num_correct


def test_parts_of_the_members_have_soft_squared_biases():
    logits, soft = ensemble()
    groups, labels = member_groups(6), soft_labels_of(soft)
    probs = softmax(logits)
    found = drawn_block(residuals(probs, labels.target, labels), groups, unions(groups), labels)
    order = [group[0] for group in groups.members]
    for split, parts in enumerate(groups.thirds):
        for place, part in enumerate(parts):
            a, b = (probs[order[group]] - soft for group in torch.nonzero(part).flatten())
            expected = (a * b).sum(dim=1)
            got = found.parts.bias_sq[split, place]
            torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-14)
    for place, union in enumerate(groups.smaller):
        mean = torch.stack([probs[order[g]] for g in torch.nonzero(union).flatten()]).mean(dim=0)
        expected = (mean - soft).square().sum()
        torch.testing.assert_close(found.smaller.bias_sq[place], expected, rtol=1e-9, atol=0)
    assert found.odds is None


def test_calibration_is_that_of_labels_drawn_from_the_soft_ones():
    logits, soft = ensemble()
    found = of_soft(logits, soft)
    mean, q = softmax(logits).mean(dim=0).numpy(), soft.numpy()
    top, at = mean.max(axis=1), mean.argmax(axis=1)
    excess, bins = top - q[np.arange(90), at], np.minimum((top * 15).astype(int), 14)
    sums = [abs(excess[bins == b].sum()) / 90 for b in range(15)]
    error = found.calibration.errors["equal_width"]["confidence"].absolute.value
    assert error == pytest.approx(sum(sums), rel=1e-9)
    bounds = found.calibration.bounds
    deviation = abs(found["gap"].mean() - found["uncertainty"].mean())
    assert float(bounds.deviation) == pytest.approx(deviation, rel=1e-9)
    for name in ("canonical", "class_wise", "class_aggregated", "confidence"):
        assert deviation <= float(getattr(bounds, name) + bounds.slack) + 1e-12, name
    soft_error = 1 - (mean * q).sum(axis=1).mean()
    assert found.calibration.soft_equality["error"].value == pytest.approx(soft_error, rel=1e-9)


def test_what_needs_one_label_is_left_out_with_its_reason():
    logits, soft = ensemble()
    found = of_soft(logits, soft)
    for number in (
        found.alignment.logit_slope.slope,
        found.alignment.logit_slope.offset,
        *found.calibration.hard_equality.values(),
    ):
        assert number.value is None
        assert number.reason.startswith("labels are soft")
    for part in (found.calibration.temperature, found.collapse):
        assert part.reason.startswith("labels are soft")
    assert all(np.isnan(list(found.ratio_quantiles()["unbiased"].values())))


def test_unbiased_values_are_right_on_average_over_people_and_members():
    rng = np.random.default_rng(0)
    q, samples, people = np.array([0.6, 0.3, 0.1]), 6000, rng.integers(2, 9, 6000)
    centre = np.array([1.2, 0.5, 0.0])
    logits = torch.from_numpy(centre + rng.standard_normal((4, samples, 3)))
    counts = torch.from_numpy(np.stack([rng.multinomial(n, q) for n in people])).double()
    answers = torch.from_numpy(people)
    soft = counts / answers[:, None]
    found = of_soft(logits, soft, answers=answers, member_weights=[1.0, 2.0, 1.0, 1.0])
    many = softmax(torch.from_numpy(centre + rng.standard_normal((10**6, 3)))).numpy()
    bias_sq = ((many.mean(axis=0) - q) ** 2).sum()
    for name, value in (
        ("noise_unbiased", 1 - (q**2).sum()),
        ("bias_sq_unbiased", bias_sq),
        ("weighted_bias_sq_unbiased", bias_sq),
        ("weighted_bias_sq_pairs", bias_sq),
        ("risk", 1 - (q**2).sum() + bias_sq + many.var(axis=0).sum()),
    ):
        values = found[name]
        error = values.std() / samples**0.5
        assert abs(values.mean() - value) < 4 * error, name
    assert found["bias_sq_unbiased"].min() < 0
    assert found["noise"].mean() < found["noise_unbiased"].mean() - 0.05
    low, high = found.means["bias_sq_unbiased"].interval
    assert low < bias_sq < high


def test_a_single_answer_leaves_unbiased_values_undefined():
    logits, soft = ensemble()
    answers = torch.full((90,), 5)
    answers[0] = 1
    found = of_soft(logits, soft, answers=answers)
    assert np.isnan(found["noise_unbiased"][0])
    assert np.isfinite(found["noise_unbiased"][1:]).all()
    assert found.means["bias_sq_unbiased"].value is None
    assert found.means["bias_sq"].value is not None


@pytest.mark.parametrize("members", [1, 2])
def test_few_members_have_noise_too(members):
    logits, soft = ensemble(members=members)
    found = of_soft(logits, soft)
    assert found.means["noise"].value == pytest.approx(1 - float(soft.square().sum()) / 90)
    assert "mean label noise" in repr(found)


def test_votes_have_noise_too():
    logits, soft = ensemble()
    votes = torch.where(logits == logits.amax(dim=-1, keepdim=True), 0.0, -torch.inf)
    found = of_soft(votes, soft)
    parts = found["noise"] + found["bias_sq"] + found["variance"]
    assert found["risk"] == pytest.approx(parts, rel=1e-12)
    assert np.isinf(found["kl_risk"]).any()
    assert not np.isnan(found["kl_risk"]).any()
