"""The budget of slope and offset: parts that are known are found, and their sum is the data's."""

import sys

import numpy as np
import pytest
import torch

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import budget
import odds_models

MEMBERS, SAMPLES = 12, 1500
MARGINS = np.linspace(3, 13, SAMPLES)
PARTS = odds_models.STAGES
SCALE, GROWTH = 0.08, 0.1


def simulated(constant, growth, scale):
    """Logits of two classes, whose log odds are Gaussian: noise as `deviation` says."""
    rng = np.random.default_rng(0)
    own = np.sqrt(constant) + growth * MARGINS
    t = np.linspace(-1, 1, MEMBERS)
    t *= scale / t.std(ddof=1)  # so that the spread of the scales is known
    odds = -MARGINS * (1 + t[:, None]) + own * rng.standard_normal((MEMBERS, SAMPLES))
    logits = np.stack([np.zeros_like(odds), odds], axis=-1)
    return torch.from_numpy(logits), torch.zeros(SAMPLES, dtype=torch.int64)


def line(variance):
    """Slope and offset of infinitely many members with log odds N(-margin, variance), by sums."""
    z = np.linspace(-12, 12, 2001)
    weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    a = 1 / (1 + np.exp(MARGINS[:, None] - np.sqrt(variance)[:, None] * z))
    mean = a @ weight
    x, y = 2 * np.log(mean), np.log((a - mean[:, None]) ** 2 @ weight)
    return np.polyfit(x, y, 1)[0], (y - x).mean()


def finite_line(logits):
    """The same of the plug-in values of these members."""
    a = 1 / (1 + np.exp(-logits[..., 1].numpy()))
    x, y = 2 * np.log(a.mean(0)), np.log(a.var(0))
    return np.polyfit(x, y, 1)[0], (y - x).mean()


def of(monkeypatch, tmp_path, logits, target, population, flags=(), more=None):
    monkeypatch.setattr(budget, "correct_logits", lambda path: (logits, target))
    monkeypatch.setattr(budget, "SAMPLE_GROUPS", 4)
    a = 1 / (1 + np.exp(-logits[..., 1].numpy()))
    columns = {
        "bias_sq": 2 * a.mean(0) ** 2,
        "variance": 2 * a.var(0),
        "correct": np.ones(len(a.T)),
    }
    monkeypatch.setattr(budget, "read_samples", lambda path: columns)
    ends = {
        name: {"value": value} | (more or {})
        for name, value in zip(("slope", "offset"), population, strict=True)
    }
    summary = {"alignment": {"logit_slope": ends | {"flags": list(flags)}}}
    return budget.budget({"r": tmp_path}, {"r": summary}).rows


@pytest.mark.parametrize(
    ("growth", "scale"), [(0.0, 0.0), (GROWTH, 0.0), (0.0, SCALE), (GROWTH, SCALE)]
)
def test_each_part_is_what_was_put_in(growth, scale, monkeypatch, tmp_path):
    logits, target = simulated(0.5, growth, scale)
    own, of_scale = (np.sqrt(0.5) + growth * MARGINS) ** 2, (scale * MARGINS) ** 2
    base = line(np.full_like(own, (own + of_scale).mean()))
    grown, whole = line(own + of_scale.mean()), line(own + of_scale)
    row = of(monkeypatch, tmp_path, logits, target, whole)["r"]
    data = finite_line(logits)
    for place, number in enumerate(("slope", "offset")):
        parts = {part: row[f"budget.{number}.{part}"]["value"] for part in PARTS}
        assert sum(parts.values()) == pytest.approx(data[place], abs=1e-9)
        known = {
            "base": base[place],
            "growth": grown[place] - base[place],
            "temperature": whole[place] - grown[place],
            "finite": data[place] - whole[place],
        }
        # the noise is known from 12 x 1,500 values: the variance to 1%, its curve to a few
        tolerance = (0.012, 0.05)[place]
        for part, value in known.items():
            assert parts[part] == pytest.approx(value, abs=tolerance), (number, part)
        assert parts["classes"] == pytest.approx(0, abs=1e-9)  # there is one wrong class
        assert row[f"budget.{number}.rest"]["value"] == pytest.approx(0, abs=2 * tolerance)
        model, left = (row[f"budget.{number}.finite_{key}"]["value"] for key in ("model", "left"))
        assert model + left == pytest.approx(parts["finite"], abs=1e-9)
        low, high = row[f"budget.{number}.finite_left"]["interval"]
        assert low - tolerance < 0 < high + tolerance
    # one member's scale is known to own / (sqrt(samples) rms margin), 0.005 at most
    assert row["noise.scale_sd"]["value"] == pytest.approx(scale, abs=0.008)
    if not growth and not scale:
        for part in ("growth", "temperature"):
            low, high = row[f"budget.slope.{part}"]["interval"]
            assert low - 0.001 < 0 < high + 0.001


def test_what_hangs_on_a_number_not_to_be_quoted_says_so(monkeypatch, tmp_path):
    logits, target = simulated(0.5, 0.0, 0.0)
    row = of(monkeypatch, tmp_path, logits, target, (1.0, 0.0), ["heavy_tails"])["r"]
    flagged = {key for key, number in row.items() if number.get("flags")}
    parts = ("own", "rest", "finite", "finite_left")
    assert flagged == {f"budget.{n}.{part}" for n in ("slope", "offset") for part in parts}


def test_what_no_member_has_shown_stretches_the_parts_beside_the_population(monkeypatch, tmp_path):
    logits, target = simulated(0.5, 0.0, 0.0)
    variances = {"samples": 1e-4, "units": 10**6, "members": 0.0, "both": 0.0, "groups": 12}
    half = 1.959964 * 0.01
    more = {"interval": [1 - half - 0.3, 1 + half + 0.1], "variances": variances}
    whole = of(monkeypatch, tmp_path, logits, target, (1.0, 1.0))["r"]
    wide = of(monkeypatch, tmp_path, logits, target, (1.0, 1.0), more=more)["r"]
    added = {"own": (-0.3, 0.1), "rest": (-0.3, 0.1), "finite": (-0.1, 0.3), "base": (0, 0)}
    for part, by in added.items():
        before, after = (rows[f"budget.slope.{part}"]["interval"] for rows in (whole, wide))
        assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx(by, abs=1e-4)


@pytest.mark.parametrize(("members", "samples"), [(4, SAMPLES), (MEMBERS, 200)])
def test_few_members_or_samples_have_no_budget(members, samples, monkeypatch, tmp_path):
    logits, target = simulated(0.5, 0.0, 0.0)
    few = logits[:members, :samples], target[:samples]
    assert of(monkeypatch, tmp_path, *few, (1.0, 0.0)) == {}
    assert of(monkeypatch, tmp_path, logits, target, (None, 0.0)) == {}
