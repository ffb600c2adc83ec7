"""Three ways to calibrate an ensemble with constants.

    mean           softmax(log p̄ / T), with p̄ the mean probabilities of the members
    members        mean_m softmax(z_m / T)
    two_constants  mean_m softmax(a z̄ + b (z_m - z̄))           (`calibration/scales.py`)

The second is the third with a = b = 1/T, the first is it for p̄ as the only member.
"""

from jaxtyping import Float
from torch import Tensor, inf

from bvalign.analysis.calibration import AS_THEY_ARE, Scales, scaled_mean

FREE = {"mean": [[1.0], [0.0]], "members": [[1.0], [1.0]], "two_constants": [[1.0, 0], [0, 1.0]]}
"""Method -> directions in log a and log b along which its constants move."""

NAMES = {
    "mean": "temperature of the mean",
    "members": "temperature of the members",
    "two_constants": "two constants",
}


def calibrated(
    logits: Float[Tensor, "members samples classes"], method: str, scales: Scales
) -> Float[Tensor, "samples classes"]:
    """Logarithm of the calibrated probabilities, float64.

    Args:
        logits: of all members; those of classes that a sample lacks are -inf.
        method: key of `NAMES`.
        scales: a and b; 1/T is a of a temperature.

    >>> import torch
    >>> logits = torch.tensor([[[0.9, 0.1]]]).log()
    >>> calibrated(logits, "mean", Scales(0.5, 1.0)).exp()  # 3 to 1
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    if method == "mean":
        return scaled_mean(scaled_mean(logits, AS_THEY_ARE).unsqueeze(0), scales)
    return scaled_mean(logits, scales)


def cannot_scale(logits: Float[Tensor, "members samples classes"]) -> str | None:
    """Why constants change nothing that can be used; None if they do."""
    lacking = logits.amax(dim=0) == -inf  # classes a sample lacks
    if (logits.isfinite() | lacking).all():
        return None
    if ((logits > -inf).sum(dim=-1) == 1).all():
        return "votes have no probabilities to scale"
    return "some members give probabilities of exactly zero, which no constant changes"
