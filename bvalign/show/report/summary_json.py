"""The content of summary.json: an analysis of labelled predictions as plain data."""

import math
from collections.abc import Sequence

from torch import Tensor

from bvalign.analysis.collapse import Collapse
from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions
from bvalign.provenance import versions

SCHEMA = 1
NEED_ONE = ("kl_risk", "kl_bias", "kl_variance")
"""Means that are defined for a single member, if no probability is zero."""


def summarise(
    analysis: Analysis, predictions: Predictions, origin: dict[str, object]
) -> dict[str, object]:
    """Returns all numbers as plain data; docs/summary.md explains each."""
    fits = {
        estimator: plain(numbers) | {"samples": analysis.alignment.num_correct}
        for estimator, numbers in analysis.alignment.estimators.items()
    }
    calibration = analysis.calibration._asdict()
    accuracy = analysis.member_accuracy
    deviation = float(accuracy.std()) if len(accuracy) > 1 else None
    means = plain(analysis.means())
    return {
        "schema": SCHEMA,
        "labels": True,
        "missing": undefined(means, analysis.num_members, NEED_ONE),
        "num_members": analysis.num_members,
        "num_samples": analysis.num_samples,
        "num_classes": analysis.num_classes,
        "accuracy": analysis.accuracy,
        "member_accuracy": {
            "mean": float(accuracy.mean()),
            "standard_deviation": deviation,
            "min": float(accuracy.min()),
            "max": float(accuracy.max()),
        },
        "means": means,
        "weighted": plain(analysis.samples.weighted_means()),
        "variance_share": plain(analysis.variance_share()),
        "alignment": fits,
        "alignment_selection": analysis.selection,
        "alignment_dropped": analysis.alignment.dropped,
        "alignment_over_members": analysis.alignment.curve,
        "slope_by_class": plain(analysis.class_slopes),
        "slope_by_decade": plain(analysis.decade_slopes),
        "excess": {"constant": 1, "quantiles": plain(analysis.excess_quantiles())},
        "ratio": {
            "ceiling": analysis.num_members - 1,
            "quantiles": plain(analysis.ratio_quantiles()),
        },
        "calibration": {k: plain(v) for k, v in calibration.items() if k != "reliability"},
        "collapse": _collapse(analysis.collapse),
        "notes": list(analysis.notes),
    } | how_it_was_made(predictions, origin)


def how_it_was_made(predictions: Predictions, origin: dict[str, object]) -> dict[str, object]:
    """Returns the part of every summary on members, data, identity, provenance and versions."""
    identity = origin.get("identity", {})
    return {
        "members": list(predictions.members),
        "data": {
            "name": identity.get("data.name", origin.get("source")),
            "fingerprint": identity.get("data.fingerprint"),
            "class_names": list(predictions.class_names),
        },
        "identity": identity,
        "provenance": {k: v for k, v in origin.items() if k not in ("identity", "packs", "schema")},
        "versions": versions(),
    }


def undefined(
    means: dict[str, dict[str, float | None]], num_members: int, one_suffices: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Lists the means that are null, each with the reason.

    Args:
        means: by name.
        num_members: M.
        one_suffices: names of means that are defined for one member, if no probability is zero.
    """
    few = "needs two members"
    zero = "a member gives a class a probability of zero"
    return [
        {"name": name, "reason": few if num_members == 1 and name not in one_suffices else zero}
        for name, mean in means.items()
        if mean["value"] is None
    ]


def _collapse(collapse: Collapse) -> object:
    """Returns the numbers; curves and points are in the figure."""
    if collapse.noise is None:
        return {"law": None, "reason": collapse.reason}
    noise = collapse.noise._asdict()
    fits = {
        law: {"scale": f.scale, "distance": f.distance} for law, f in collapse.noise.fits.items()
    }
    moments = {k: v for k, v in noise.items() if isinstance(v, float)}
    slopes = {k: v for k, v in collapse._asdict().items() if k.startswith("slope")}
    numbers = {
        "law": collapse.distribution,
        "laws": fits,
        "s_prime_mean": float(noise["s_prime"].mean()),
    }
    return plain(numbers | moments | slopes | {"samples": len(noise["s_prime"])})


def plain(value: object) -> object:
    """Converts results to plain JSON: named tuples become objects, undefined numbers null."""
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    undefined = isinstance(value, float) and not math.isfinite(value)
    return None if undefined else value
