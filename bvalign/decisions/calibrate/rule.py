"""A calibration that was saved, applied to new predictions."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.calibration import AS_THEY_ARE, Scales, scaled_mean
from bvalign.analysis.decompositions import Column, Unit
from bvalign.decisions.calibrate.methods import NAMES, calibrated, cannot_scale
from bvalign.predictions import Predictions


def apply_calibration(
    rule: dict[str, object], predictions: Predictions
) -> tuple[dict[str, Column], tuple[str, ...]]:
    """Calibrates the mean probabilities of new predictions.

    Args:
        rule: the content of calibrate.json.
        predictions: with as many classes; labels are optional.

    Returns:
        The columns prediction, p0, p1, ..., and with labels a line that compares cross-entropies.

    Raises:
        ValueError: the rule is damaged, or probabilities are exactly zero or votes.
    """
    method, scales = _constants(rule)
    parts, plain = [], []
    for number in range(predictions.num_ranges):
        _, logits, target = predictions.range(number)
        if reason := cannot_scale(logits):
            raise ValueError(f"the predictions cannot be calibrated: {reason}")
        parts.append(calibrated(logits, method, scales))
        if target is not None and predictions.soft_labels is None:
            pair = (scaled_mean(logits, AS_THEY_ARE), parts[-1])
            plain.append(torch.stack([_loss(log_probs, target) for log_probs in pair]))
    probs = torch.cat(parts).exp()
    columns = {"prediction": Column(probs.argmax(dim=-1), Unit("class id"))}
    columns |= {f"p{k}": Column(p, Unit("probability")) for k, p in enumerate(probs.T)}
    said = f"{NAMES[method]}: calibrated probabilities are p0 to p{predictions.num_classes - 1}"
    if not plain:
        return columns, (said,)
    before, after = torch.cat(plain, dim=1).mean(dim=1).tolist()
    return columns, (said, f"cross-entropy {before:.4f} nats before, {after:.4f} after")


def _constants(rule: dict[str, object]) -> tuple[str, Scales]:
    method = rule.get("method")
    keys = ("agree", "disagree") if method == "two_constants" else ("temperature",)
    numbers = [rule.get(key) for key in keys]
    if method not in NAMES or not all(
        isinstance(number, int | float) and 0 < number < math.inf for number in numbers
    ):
        raise ValueError(
            f"a rule to calibrate needs a method ({', '.join(NAMES)}) and its constants above zero "
            f"({' and '.join(keys)}), got {method!r} and {numbers}; write the report again"
        )
    return method, Scales(*numbers) if len(keys) == 2 else Scales(1 / numbers[0], 1 / numbers[0])


def _loss(log_probs: Float[Tensor, "samples classes"], target: Tensor) -> Float[Tensor, " samples"]:
    return -log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1)
