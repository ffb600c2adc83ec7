"""Every column of samples.csv, and every mean, against loops in 60 digits.

Members, classes, margins, weights and cuts into ranges are drawn at random.
"""

import math

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference_losses as reference
from tests.analysed import analysed
from tests.reference_losses import ensemble, mean
from tests.reference_statistics import scale, statistics

SAMPLES = 4
LEFT = 1e-6
"""Below this part of the sum of squares around all members' mean, the variance that is left without
one member has lost too many digits for its logarithm to be compared."""


def expected_row(logits, label):
    """The columns of one sample from their definitions; None where one member does not suffice."""
    members = len(logits)
    row = statistics(logits, label)
    row |= {"label": label, "prediction": prediction(logits)}
    names = ("kl_risk", "kl_bias", "kl_variance")
    shifted = reference.jackknife(reference.cross_entropy, logits, label) if members > 1 else None
    for place, name in enumerate(names[1:], start=1):
        row[f"{name}_jackknife"] = shifted and shifted[place]
    return row | log_errors(logits, label)


def prediction(logits):
    probs = [reference.softmax(z) for z in logits]
    centre = [mean(column) for column in zip(*probs, strict=True)]
    return max(range(len(centre)), key=centre.__getitem__)


def log_errors(logits, label):
    """Delete-one standard errors of the logs of plug-in values; absent where digits are lost."""
    num = len(logits)
    if num < 3:
        return {"log_bias_sq_error": None, "log_variance_error": None}
    probs = [reference.softmax(z) for z in logits]
    centre = [mean(column) for column in zip(*probs, strict=True)]
    found, biases, variances, lost = {}, [], [], False
    for gone in range(num):
        left = [m for m in range(num) if m != gone]
        bias_sq, variance, *_ = reference.squared_loss([logits[m] for m in left], label)
        around = mean(reference.square_distance(probs[m], centre) for m in left)
        biases.append(bias_sq)
        variances.append(variance)
        lost |= variance < LEFT * around
    for name, values in (("log_bias_sq_error", biases), ("log_variance_error", variances)):
        if name == "log_variance_error" and lost:
            continue
        logs = [mpmath.log(x) for x in values]
        squares = mpmath.fsum((x - mean(logs)) ** 2 for x in logs)
        found[name] = mpmath.sqrt(squares * (num - 1) / num)
    return found


def rounding(name, row):
    """What the error of a column is relative to."""
    if name.startswith(("log_", "label", "prediction", "main")):
        return 1
    if "jackknife" in name:
        return row["kl_risk"] * 40
    if name.startswith("weighted_") or name in ("bias_sq_unbiased", "variance_unbiased"):
        return abs(row[name])
    return scale(name, row)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(1, 7), st.integers(2, 5), st.floats(0, 60), st.integers(1, 4), st.integers(0, 2**32)
)
def test_every_column_of_samples_is_its_definition(members, classes, margin, size, seed):
    logits, target = ensemble(members, SAMPLES, classes, margin, seed)
    weights = [float(m) for m in range(1, members + 1)]
    found = analysed(logits, target, size=size, member_weights=weights)
    columns = {name: column.values.tolist() for name, column in found.columns().items()}
    assert columns.pop("index") == [0, 1, 2, 3]
    sums = {}
    for n, label in enumerate(target.tolist()):
        expected = expected_row(logits[:, n].tolist(), label)
        if members > 1:
            parts = reference.weighted(logits[:, n].tolist(), label, weights)
            names = ("bias_sq", "variance", "risk", "bias_sq_pairs")
            expected |= {f"weighted_{k}": v for k, v in zip(names, parts, strict=True)}
        for name, value in expected.items():
            if name not in columns:
                assert name.startswith(("hard_", "soft_")), name  # means of the calibration alone
            elif value is None:
                assert math.isnan(columns[name][n]), name
            else:
                error = abs(columns[name][n] - value)
                assert error <= 1e-9 * rounding(name, expected) + 1e-300, (name, n)
                sums[name] = sums.get(name, 0) + value
        untested = columns.keys() - expected.keys()
        untested -= {"log_bias_sq_error", "log_variance_error", "slope_influence"}
        untested -= {"offset_influence"}
        assert all(name.startswith("weighted_") for name in untested), untested
    for name, number in found.means.items():
        if number.value is not None:
            assert number.value == pytest.approx(float(sums[name] / SAMPLES), rel=1e-9, abs=1e-9)


def test_influences_are_zero_without_a_population_slope():
    for members in (1, 2, 3):
        found = analysed(*ensemble(members, SAMPLES, 3, 5.0, seed=0)).columns()
        for name in ("slope_influence", "offset_influence"):
            assert found[name].values.tolist() == [0.0] * SAMPLES
