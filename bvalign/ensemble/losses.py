"""Training losses, one number per member and sample."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot

Loss = Literal["cross_entropy", "squared_error"]


def training_loss(
    logits: Float[Tensor, "*samples classes"],
    target: Int64[Tensor, "*samples"],
    loss: Loss = "cross_entropy",
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*samples"]:
    """The loss of each member on each of its samples.

    `cross_entropy` is -sum_k q_k log p_k in nats, `squared_error` is sum_k (p_k - q_k)², 0 to 2,
    with p = softmax(logits) and q the one-hot label, smoothed or not. The squared error is that of
    the probabilities, not of the raw outputs as is also common: members then minimise what the
    ensemble is judged by, risk = bias_sq + variance, and the two losses differ in nothing else.

    Args:
        logits: of any samples, usually (members, batch).
        target: class ids.
        loss: which one.
        label_smoothing: fraction of the label's probability spread over all classes.

    >>> training_loss(torch.zeros(1, 2), torch.tensor([0]), "squared_error").item()
    0.5
    """
    if loss == "cross_entropy":
        each = torch.nn.functional.cross_entropy(
            logits.flatten(0, -2),
            target.flatten(),
            reduction="none",
            label_smoothing=label_smoothing,
        )
        return each.view(target.shape)
    probs, num_classes = logits.softmax(dim=-1), logits.shape[-1]
    label = one_hot(target, num_classes).to(probs.dtype)
    wanted = label * (1 - label_smoothing) + label_smoothing / num_classes
    return (probs - wanted).square().sum(dim=-1)
