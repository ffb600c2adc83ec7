import json

import numpy as np
import pytest
import torch

from bvalign.analysis.calibration.gap import gap_identity
from bvalign.analysis.decompositions.other_losses import cross_entropy, vote_counts, zero_one
from bvalign.show.report.summary_json import plain
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, random_ensemble


def test_every_table_equals_its_function_whatever_the_blocks():
    logits, target = random_ensemble(members=6, samples=250)
    found = analysed(logits, target)
    counts = vote_counts(logits.argmax(dim=-1), 4)
    for table, expected in (
        (found.samples.cross_entropy, cross_entropy(logits, target)),
        (found.samples.zero_one, zero_one(counts, target)),
        (found.samples.gap, gap_identity(logits, target)),
    ):
        for name, a, b in zip(expected._fields, table, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-15, msg=name)
    assert found.member_accuracy.shape == (6,)
    expected = (logits.argmax(dim=-1) == target).double().mean(dim=1)
    torch.testing.assert_close(found.member_accuracy, expected)


def test_means_and_shares_agree_with_each_other():
    logits, target = random_ensemble(members=6, samples=250)
    found = analysed(logits, target)
    means = {name: mean.value for name, mean in found.means.items()}
    assert means["bias_sq"] + means["variance"] == pytest.approx(means["risk"])
    assert means["kl_bias"] + means["kl_variance"] == pytest.approx(means["kl_risk"])
    assert means["bias_01"] + means["net_variance_01"] == pytest.approx(means["error_rate"])
    assert found.variance_share()["squared"] == pytest.approx(means["variance"] / means["risk"])
    error = found.means["risk"].variances.samples ** 0.5
    assert error == pytest.approx(float(found.samples.decomposition.risk.std()) / np.sqrt(250))


def test_the_collapse_model_recovers_its_own_noise():
    logits, target = aligned_ensemble(members=12, samples=900, sigma=0.7)
    found = analysed(logits, target).collapse
    assert found.distribution == "gaussian"
    assert found.noise.fits["gaussian"].scale == pytest.approx(0.7, rel=0.02)
    assert abs(found.noise.excess_kurtosis) < 4 * found.noise.excess_kurtosis_error
    assert found.slope_simulated == pytest.approx(found.slope_data, abs=0.02)
    assert found.slope_population == pytest.approx(1, abs=0.02)


def test_temperature_calibrates_overconfident_members_and_moves_the_gap():
    """Labels drawn from softmax(z): members that say 3 z need a temperature near three."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1500, 4)) * 1.5
    probs = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    target = torch.tensor([rng.choice(4, p=p) for p in probs])
    logits = torch.from_numpy(3 * (z + 0.05 * rng.standard_normal((4, 1500, 4))))
    found = analysed(logits, target).calibration.temperature
    assert found.temperature == pytest.approx(3, rel=0.15)
    before, after = (found.effect[name]["calibration_residual"] for name in ("before", "after"))
    assert abs(after.value) < abs(before.value) / 3
    low, high = found.effect["change"]["gap"].interval
    assert not low <= 0 <= high


@pytest.mark.parametrize("members", [1, 2])
def test_what_few_members_cannot_say_is_null_with_a_reason(members):
    logits, target = random_ensemble(members=members, samples=60)
    found = analysed(logits, target)
    assert "needs three members" in found.collapse.reason
    text = json.dumps(plain(found.calibration) | plain(found.means), allow_nan=False)
    assert "NaN" not in text
    assert (found.means["disagreement"].value is None) == (members == 1)


def test_a_temperature_that_does_not_exist_has_a_reason():
    logits, target = aligned_ensemble(members=3, samples=60)
    found = analysed(logits, (target + 1) % 5).calibration.temperature
    assert found.temperature is None
    assert "no minimum" in found.reason
    few = analysed(logits[:, :8], target[:8]).calibration.temperature
    assert "needs ten samples" in few.reason
