"""Weights that become a running average of themselves are those of a plain loop."""

import numpy as np
import pytest
import torch

from bvalign import Ensemble
from bvalign.ensemble.lookahead import Lookahead
from tests.networks import NETWORKS, ensemble, trained

STEPS, EVERY = 11, 3


def plain(start, gradients, lr, every, steps):
    """The definition in float64 for one number, without momentum."""
    weight, average = start, None
    for step, gradient in enumerate(gradients, 1):
        weight -= lr * gradient
        if step % every == 0:
            keep = 0.95**every * (step / steps) ** 3 if average is not None else 0
            average = weight if average is None else keep * average + (1 - keep) * weight
            weight = average
    return weight


@pytest.mark.parametrize("every", [1, EVERY, 20])
def test_weights_are_those_of_the_definition(every):
    gradients = np.random.default_rng(0).normal(size=(STEPS, 2))
    weights = [
        torch.nn.Parameter(torch.tensor([value], dtype=torch.float64)) for value in (3.0, -2.0)
    ]
    optimizer = Lookahead(
        [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}], every, lr=0.1
    )
    optimizer.expect(STEPS)
    for row in gradients:
        for weight, gradient in zip(weights, row, strict=True):
            weight.grad = torch.tensor([gradient])
        optimizer.step()
    for column, (start, lr) in enumerate(((3.0, 0.1), (-2.0, 0.5))):
        expected = plain(start, gradients[:, column], lr, every, STEPS)
        assert weights[column].item() == pytest.approx(expected, abs=1e-6)  # k is in float32


@pytest.mark.parametrize("plan", ["packed", "vmap"])
def test_plans_agree(plan):
    arguments = NETWORKS["whitened"] | {"lookahead": EVERY, "bias_lr_factor": 4.0}
    found, optimizer = trained(ensemble(plan, **arguments), STEPS)
    expected, _ = trained(ensemble("sequential", **arguments), STEPS)
    without, _ = trained(ensemble("sequential", **arguments | {"lookahead": 0}), STEPS)
    for member in found.members:
        here, there = found.pack.network_weights(member), expected.pack.network_weights(member)
        # 11 steps in float64
        assert all(torch.allclose(here[key], there[key], rtol=0, atol=1e-8) for key in there)
        other = without.pack.network_weights(member)["fc.weight"]
        assert not torch.allclose(here["fc.weight"], other, atol=1e-3)
    assert {len(state) for state in optimizer.state.values()} == {3}


def test_it_is_told_the_steps_and_is_part_of_the_identity():
    module = Ensemble(10, (1, 8, 8), arch="mlp", lookahead=5)
    module.configure_model()
    optimizer = module.optimizer_of_all()
    module.optimization.make_scheduler(optimizer, 70)
    assert optimizer.param_groups[0]["total_steps"] == 70
    assert module.identity()["lookahead"] == 5
    assert "lookahead" not in Ensemble(10, (1, 8, 8)).identity()
    for arguments in ({"lookahead": -1}, {"lookahead": 5, "optimizer": "adamw"}):
        with pytest.raises(ValueError, match="model.lookahead must be 0, or a number of steps of"):
            Ensemble(10, (1, 8, 8), **arguments)
