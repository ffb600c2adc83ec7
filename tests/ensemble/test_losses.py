"""The losses that members are trained with."""

import json
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from bvalign.ensemble.losses import training_loss


def by_hand(logits, label, loss, smoothing):
    """One sample, in plain NumPy."""
    p = np.exp(logits - logits.max())
    p /= p.sum()
    q = np.full(len(p), smoothing / len(p))
    q[label] += 1 - smoothing
    return -(q * np.log(p)).sum() if loss == "cross_entropy" else ((p - q) ** 2).sum()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_each_member_and_sample_has_its_own_loss(loss, smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(4, (3, 5), generator=generator)
    found = training_loss(logits, target, loss, label_smoothing=smoothing)
    assert found.shape == (3, 5)
    for member in range(3):
        for sample in range(5):
            expected = by_hand(
                logits[member, sample].numpy(), int(target[member, sample]), loss, smoothing
            )
            assert found[member, sample].item() == pytest.approx(expected, rel=1e-12)


def test_the_squared_error_is_the_risk_of_the_decomposition():
    from bvalign.analysis.decompositions.squared_loss import decompose, moments

    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    target = torch.arange(5) % 4
    found = training_loss(logits.double(), target.expand(3, 5), "squared_error").mean(dim=0)
    torch.testing.assert_close(found, decompose(moments(logits, target), target).risk)


def test_swapped_axes_are_refused_while_tests_run():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'target'"):
        training_loss(torch.zeros(3, 5, 4), torch.zeros(5, 3, dtype=torch.int64))


def test_the_loss_is_part_of_the_identity(fit, capsys):
    fit("--model.loss=squared_error", "--model.members=2")
    run = json.loads(Path("runs/digits-mlp/run.json").read_text())
    assert run["identity"]["model.loss"] == "squared_error"
    fit("--model.members=2")
    assert "model.loss: squared_error there, cross_entropy now" in capsys.readouterr().err
