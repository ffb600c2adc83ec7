"""All statistics of one sample and one set of members, from their definitions in 60 digits.

Imports nothing of bvalign. A sample's logits are a list of members, each a list of K numbers.
"""

from tests import reference_losses as losses
from tests.reference_losses import mean, mp, pairs


def inner(a, b):
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def statistics(logits, label):
    """Statistics by their names in bvalign; None where one member does not suffice."""
    num_classes, several = len(logits[0]), len(logits) > 1
    probs = [losses.softmax(z) for z in logits]
    centre = [mean(column) for column in zip(*probs, strict=True)]
    target = losses.one_hot(label, num_classes)
    residuals = [[x - y for x, y in zip(p, target, strict=True)] for p in probs]
    votes = [max(range(num_classes), key=z.__getitem__) for z in logits]
    bias_sq, variance, risk, uncertainty = losses.squared_loss(logits, label)
    row = {
        "correct": int(max(range(num_classes), key=centre.__getitem__) == label),
        "bias_sq": bias_sq,
        "variance": variance,
        "risk": risk,
        "uncertainty": uncertainty,
        "gap": bias_sq - variance,
        "calibration_residual": bias_sq - variance - uncertainty,
        "soft_error": mean(1 - p[label] for p in probs),
        "soft_plug_in": 1 - inner(centre, centre),
        "hard_plug_in": mean(mp.mpf(a != b) for a in votes for b in votes),
    }
    names = ("kl_risk", "kl_bias", "kl_variance")
    row |= zip(names, losses.cross_entropy(logits, label), strict=True)
    names = ("main", "error_rate", "bias_01", "variance_01", "net_variance_01")
    row |= zip(names, losses.zero_one(votes, label, num_classes), strict=True)
    nearly_all = not row["correct"] and row["bias_01"] and row["variance_01"] <= 0.1
    row["systematic"] = int(nearly_all)
    row["chance"] = int(not row["correct"] and not nearly_all and row["error_rate"] < 1)
    row["hard_difference_plug_in"] = row["error_rate"] - row["hard_plug_in"]
    row["soft_difference_plug_in"] = row["soft_error"] - row["soft_plug_in"]
    unbiased = dict.fromkeys(
        "bias_sq_unbiased variance_unbiased disagreement gap_unbiased "
        "calibration_residual_unbiased hard_difference soft_disagreement soft_difference".split()
    )
    if several:
        between = mean(inner(r, s) for r, s in pairs(residuals))
        spread = mean(losses.square_distance(p, q) / 2 for p, q in pairs(probs))
        disagreement = losses.disagreement(votes)
        overlap = mean(inner(p, q) for p, q in pairs(probs))
        unbiased = {
            "bias_sq_unbiased": between,
            "variance_unbiased": spread,
            "disagreement": disagreement,
            "gap_unbiased": between - spread,
            "calibration_residual_unbiased": between - spread - uncertainty,
            "hard_difference": row["error_rate"] - disagreement,
            "soft_disagreement": 1 - overlap,
            "soft_difference": row["soft_error"] - 1 + overlap,
        }
    return row | unbiased


def scale(name, row):
    """What the rounding of a statistic is relative to: the terms of a difference, else itself."""
    if name.startswith("kl_"):
        return row["kl_risk"]
    if name.startswith(("gap", "calibration", "soft_")):
        return row["risk"] + row["uncertainty"] + row["soft_error"]
    if name.startswith(("hard_", "error", "bias_01", "variance_01", "net", "disagreement")):
        return 1
    return row["risk"] if name.endswith("_unbiased") else abs(row[name])
