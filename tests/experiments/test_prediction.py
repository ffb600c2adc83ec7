"""Slope and offset predicted from two members: right where their assumptions hold."""

import json
import sys

import numpy as np
import pytest
import torch

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import prediction

SAMPLES = 6000
MARGINS = np.linspace(3, 13, SAMPLES)


def logits(members, growth=0.0, scatter=0.0, num_classes=2, seed=0):
    """Log odds are Gaussian, wrong classes alike; sd 0.7 + growth s, log-normal with `scatter`."""
    rng = np.random.default_rng(seed)
    sd = (0.7 + growth * MARGINS) * np.exp(scatter * rng.standard_normal(SAMPLES))
    odds = -MARGINS + sd * rng.standard_normal((members, SAMPLES))
    wrong = np.repeat((odds - np.log(num_classes - 1))[..., None], num_classes - 1, axis=-1)
    both = np.concatenate([np.zeros_like(odds)[..., None], wrong], axis=-1)
    return torch.from_numpy(both), torch.zeros(SAMPLES, dtype=torch.int64)


def line(growth=0.0, scatter=0.0):
    """Slope and offset of infinitely many members, by sums."""
    z = np.linspace(-12, 12, 1001)
    weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    margins = MARGINS[:: SAMPLES // 200]
    logs, of_scores = [], np.linspace(-3, 3, 13) if scatter else np.zeros(1)
    for score in of_scores:
        sd = (0.7 + growth * margins) * np.exp(scatter * score)
        a = 1 / (1 + np.exp(margins[:, None] - sd[:, None] * z))
        mean = a @ weight
        logs.append((2 * np.log(mean), np.log((a - mean[:, None]) ** 2 @ weight)))
    x, y = np.stack(logs, axis=1)
    w = np.broadcast_to(np.exp(-(of_scores**2) / 2)[:, None], x.shape)
    return np.polyfit(x.ravel(), y.ravel(), 1, w=np.sqrt(w.ravel()))[0], np.average(
        y - x, weights=w
    )


@pytest.mark.parametrize(("growth", "scatter"), [(0.0, 0.0), (0.07, 0.0), (0.0, 0.4)])
def test_two_members_show_the_slope_of_infinitely_many(growth, scatter):
    found = prediction.predict(*logits(2, growth, scatter))
    # 6,000 differences: the mean variance to 2%, its fourth moment to a tenth
    assert found == pytest.approx(line(growth, scatter), abs=0.05)


def test_wrong_classes_that_share_alike_change_neither():
    two, ten = (prediction.predict(*logits(2, num_classes=k)) for k in (2, 10))
    assert ten == pytest.approx(two, abs=1e-9)


def test_a_run_has_its_prediction_beside_the_other_members(monkeypatch, tmp_path, capsys):
    scores, target = logits(8)
    monkeypatch.setattr(prediction, "read_logits", lambda path: (scores[:, ::6], target[::6]))
    whole = dict(zip(("slope", "offset"), ({"value": v} for v in line()), strict=True))
    summary = {"alignment": {"logit_slope": whole | {"flags": ["saturated"]}}}
    row = prediction.prediction({"r": tmp_path}, {"r": summary}).rows["r"]
    json.dumps(row)
    for number, truth in zip(("slope", "offset"), line(), strict=True):
        low, high = row[f"predicted.{number}"]["interval"]
        assert low < truth < high
        low, high = row[f"prediction.{number}_error"]["interval"]
        assert low < 0 < high
        error = row[f"predicted.{number}"]["value"] - row[f"held_out.{number}"]["value"]
        assert row[f"prediction.{number}_error"]["value"] == pytest.approx(error)
        assert 0 < row[f"prediction.{number}_scatter"]["value"] < (0.05, 0.2)[number == "offset"]
        assert row[f"prediction.{number}_scatter"]["flags"] == ["saturated"]


def test_few_members_have_no_prediction(monkeypatch, tmp_path):
    monkeypatch.setattr(prediction, "read_logits", lambda path: logits(7))
    summary = {"alignment": {"logit_slope": {"slope": {"value": 1.0}, "offset": {"value": 0.0}}}}
    assert prediction.prediction({"r": tmp_path}, {"r": summary}).rows == {}
