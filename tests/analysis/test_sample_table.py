"""The whole of `analyze`, column by column of samples.csv, against loops in 60 digits.

Members, classes, margins, weights and cuts into blocks are drawn at random.
"""

import csv

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.show.report.sample_files import write_samples
from tests import reference_losses as reference
from tests.analysed import analysed
from tests.reference_losses import ensemble, mean, mp, pairs

SAMPLES = 4
LEFT = 1e-6
"""Below this part of a sum over pairs that is left without one member, its difference has lost
too many digits to be compared: the code keeps it above 1e-15."""


def inner(a, b):
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def expected_row(logits, label):
    """The columns of one sample from their definitions; None where one member does not suffice."""
    num_classes, votes = len(logits[0]), [max(range(len(z)), key=z.__getitem__) for z in logits]
    probs = [reference.softmax(z) for z in logits]
    centre = [mean(column) for column in zip(*probs, strict=True)]
    bias_sq, variance, risk, uncertainty = reference.squared_loss(logits, label)
    target = reference.one_hot(label, num_classes)
    residuals = [[x - y for x, y in zip(p, target, strict=True)] for p in probs]
    several = len(logits) > 1
    bias_unbiased = mean(inner(r, s) for r, s in pairs(residuals)) if several else None
    variance_unbiased = variance * len(logits) / (len(logits) - 1) if several else None
    row = {
        "label": label,
        "prediction": max(range(num_classes), key=centre.__getitem__),
        "bias_sq": bias_sq,
        "variance": variance,
        "risk": risk,
        "bias_sq_unbiased": bias_unbiased,
        "variance_unbiased": variance_unbiased,
        "gap": bias_sq - variance,
        "uncertainty": uncertainty,
        "calibration_residual": bias_sq - variance - uncertainty,
        "gap_unbiased": bias_unbiased - variance_unbiased if several else None,
        "disagreement": reference.disagreement(votes) if several else None,
    }
    row["calibration_residual_unbiased"] = row["gap_unbiased"] - uncertainty if several else None
    row["correct"] = int(row["prediction"] == label)
    names = ("main", "error_rate", "bias_01", "variance_01", "net_variance_01")
    row |= zip(names, reference.zero_one(votes, label, num_classes), strict=True)
    names = ("kl_risk", "kl_bias", "kl_variance")
    row |= zip(names, reference.cross_entropy(logits, label), strict=True)
    _, bias, kl_variance = (
        reference.jackknife(reference.cross_entropy, logits, label) if several else [None] * 3
    )
    row |= {"kl_bias_jackknife": bias, "kl_variance_jackknife": kl_variance}
    row |= log_errors(probs, residuals)
    if not row["correct"]:  # an error bar: 1 - p_y is almost one and has few digits to deviate
        row.pop("log_variance_error", None)
    return row


def log_errors(probs, residuals):
    """Delete-one standard errors of the logs of the plug-in values; none where digits are lost."""
    num = len(probs)
    if num < 3:
        return {"log_bias_sq_error": None, "log_variance_error": None}
    without = [[i for i in range(num) if i != m] for m in range(num)]
    sums = [
        [mp.fsum(column) for column in zip(*(residuals[i] for i in kept), strict=True)]
        for kept in without
    ]
    distances = {
        (i, j): reference.square_distance(probs[i], probs[j]) for i, j in pairs(range(num))
    }
    spreads = [mp.fsum(t for pair, t in distances.items() if m not in pair) for m in range(num)]
    found = {"log_bias_sq_error": delete_one([inner(total, total) for total in sums])}
    if min(spreads) >= LEFT * mp.fsum(distances.values()):
        found["log_variance_error"] = delete_one(spreads)
    return found


def delete_one(left):
    """Jackknife standard error of a log, from what is left without each member."""
    logs, num = [mp.log(x) for x in left], len(left)
    return mpmath.sqrt(mp.fsum((x - mean(logs)) ** 2 for x in logs) * (num - 1) / num)


def row_is_told(row):
    """Whether a sample is right and its members differ by more than rounding."""
    return row["correct"] == "1" and float(row["variance"]) > 1e-12 * float(row["bias_sq"])


def scale(name, row):
    """What the rounding of a column is relative to: the terms of a difference, else itself."""
    if "jackknife" in name:
        return row["kl_risk"] * 40
    if name == "kl_variance":
        return row["kl_risk"]
    if name.startswith(("gap", "calibration")):
        return row["risk"] + row["uncertainty"]
    if name.startswith("log_"):
        return 1
    return abs(row[name])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("samples") / "samples.csv"


@settings(max_examples=10, deadline=None)
@given(
    st.integers(1, 7), st.integers(2, 5), st.floats(0, 60), st.integers(1, 4), st.integers(0, 2**32)
)
def test_every_column_of_samples_is_its_definition(path, members, classes, margin, block, seed):
    logits, target = ensemble(members, SAMPLES, classes, margin, seed)
    weights = [float(m) for m in range(1, members + 1)]
    found = analysed(logits, target, block, member_weights=weights)
    write_samples(path, found.columns())
    rows = list(csv.DictReader(path.read_text().splitlines()))
    sums = {}
    for n, row in enumerate(rows):
        assert int(row.pop("index")) == n
        expected = expected_row(logits[:, n].tolist(), int(target[n]))
        if members > 1:
            parts = reference.weighted(logits[:, n].tolist(), int(target[n]), weights)
            names = ("bias_sq", "variance", "risk", "bias_sq_pairs")
            expected |= {f"weighted_{k}": v for k, v in zip(names, parts, strict=True)}
        for name, value in expected.items():
            if value is None:
                assert row[name] == "nan", name
            elif name.startswith("log_") and row[name] == "nan":
                assert not row_is_told(row), name  # members that agree to rounding
            else:
                error = abs(float(row[name]) - value)
                assert error <= 1e-9 * scale(name, expected) + 1e-300, (name, n)
                sums[name] = sums.get(name, 0) + value
        untested = row.keys() - expected.keys() - {"log_variance_error"}
        untested -= {"slope_influence", "offset_influence"}
        assert all(name.startswith("weighted_") for name in untested)
    for name, found_mean in found.means.items():
        if found_mean.value is not None:
            expected_mean = float(sums[name] / SAMPLES)
            assert found_mean.value == pytest.approx(expected_mean, rel=1e-9, abs=1e-9)
