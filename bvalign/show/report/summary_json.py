"""The content of summary.json: an analysis of labelled predictions as plain data."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from bvalign.analysis.block_values import OF_PAIRS
from bvalign.analysis.collapse import Collapse
from bvalign.analysis.groups import member_groups
from bvalign.analysis.intervals import exponential
from bvalign.analysis.summary import Analysis
from bvalign.analysis.top_k import LeftOpen
from bvalign.predictions import Predictions
from bvalign.provenance import versions

Numbers = dict[str, dict[str, object]]
"""Name -> fields of an `Estimate`."""

SCHEMA = 3
NEED_ONE = ("kl_risk", "kl_bias", "kl_variance")
"""Means that are defined for a single member, if no probability is zero."""

SOFT_RATIO = "labels are soft: no ceiling holds, and unbiased squared bias can be negative"


def summarise(
    analysis: Analysis, predictions: Predictions, origin: dict[str, object]
) -> dict[str, object]:
    """Returns all numbers as plain data; docs/summary.md explains each."""
    means = explained(plain(analysis.means), analysis.num_members, NEED_ONE, _answers(analysis))
    weighted = analysis.weighted_means
    soft = {"soft_labels": True, "noise_share": plain(analysis.noise_share())}
    return {
        "schema": SCHEMA,
        "labels": True,
        **(soft if analysis.soft_labels else {}),
        "missing": missing(means),
        "num_members": analysis.num_members,
        "num_samples": analysis.num_samples,
        "num_classes": analysis.num_classes,
        "accuracy": plain(analysis.accuracy),
        "member_accuracy": _member_accuracy(analysis),
        "means": means,
        **top_k(analysis.left_open),
        "weighted": weighted
        and explained(plain(weighted), analysis.num_members, (), _answers(analysis)),
        "variance_share": plain(analysis.variance_share()),
        "alignment": _alignment(analysis),
        "alignment_dropped": analysis.alignment.dropped,
        "alignment_over_members": analysis.alignment.curve,
        "num_drawn": analysis.num_drawn,
        "excess": {"constant": 1, "quantiles": plain(analysis.excess_quantiles())},
        "ratio": _ratio(analysis),
        "calibration": _calibration(analysis),
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


def top_k(left_open: LeftOpen | None) -> dict[str, object]:
    """The bounds of the means, where they are not exact."""
    return {} if left_open is None else {"top_k": plain(left_open.numbers())}


def explained(
    numbers: Numbers,
    num_members: int,
    one_suffices: Sequence[str] = (),
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> Numbers:
    """Gives the numbers that are null the reason.

    Args:
        numbers: means over samples, by name.
        num_members: M.
        one_suffices: names of those that are defined for one member, if no probability is zero.
        reasons: other ones, by name.
    """
    few = "needs two members"
    zero = "a member gives a class a probability of zero"
    return {
        name: number
        if number["value"] is not None
        else number
        | {
            "reason": reasons.get(
                name, few if num_members == 1 and name not in one_suffices else zero
            )
        }
        for name, number in numbers.items()
    }


def missing(numbers: Numbers) -> list[dict[str, str]]:
    """Lists the numbers that are null, each with its reason."""
    return [
        {"name": name, "reason": number["reason"]}
        for name, number in numbers.items()
        if number["value"] is None
    ]


def _answers(analysis: Analysis) -> dict[str, str]:
    """Reasons of the means that need two answers for every sample."""
    people = analysis.table.soft and analysis.table.soft.people
    alone = 0 if people is None else int((people.answers < 2).sum())
    reason = f"needs two answers, and {alone} samples have one"
    return dict.fromkeys(("noise_unbiased", *OF_PAIRS), reason) if alone else {}


def _member_accuracy(analysis: Analysis) -> dict[str, object]:
    accuracy = analysis.member_accuracy
    return {
        "mean": plain(analysis.mean_member_accuracy),
        "standard_deviation": float(accuracy.std()) if len(accuracy) > 1 else None,
        "min": float(accuracy.min()),
        "max": float(accuracy.max()),
    }


def _alignment(analysis: Analysis) -> dict[str, object]:
    found = analysis.alignment
    population = found.logit_slope
    groups = member_groups(analysis.num_members)
    thirds = groups.thirds.double() @ torch.tensor(groups.sizes).double()
    return {
        "logit_slope": {
            "slope": plain(population.slope),
            "offset": plain(population.offset),
            "intercept": population.intercept,
            "flags": list(population.flags),
            "quotable": population.quotable,
            "samples": population.samples,
        },
        "ols": plain(found.ols) | {"samples": found.num_correct - sum(found.dropped.values())},
        "cross_half": plain(found.cross_half)
        | {"members": round(float(thirds.mean())) if len(thirds) else None},
    }


def _ratio(analysis: Analysis) -> dict[str, object]:
    population = analysis.alignment.logit_slope
    soft = analysis.soft_labels
    return {
        "ceiling": None if soft else analysis.num_members - 1,
        **({"reason": SOFT_RATIO} if soft else {}),
        "quantiles": plain(analysis.ratio_quantiles()),
        "population": {
            "geometric_mean": plain(exponential(population.offset)),
            "spread": plain(population.spread),
        },
    }


def _calibration(analysis: Analysis) -> dict[str, object]:
    """Returns the numbers; the bins of the reliability diagram are in the figure."""
    found = {k: plain(v) for k, v in analysis.calibration._asdict().items() if k != "reliability"}
    for name in ("gap", "hard_equality", "soft_equality"):
        if name != "hard_equality" or not analysis.soft_labels:  # which has a reason of its own
            found[name] = explained(found[name], analysis.num_members)
    return found


def _collapse(collapse: Collapse) -> object:
    """Returns the numbers; curves and points are in the figure."""
    if collapse.noise is None:
        return {"distribution": None, "reason": collapse.reason}
    noise = collapse.noise._asdict()
    fits = {
        name: {"scale": fit.scale, "distance": fit.distance}
        for name, fit in collapse.noise.fits.items()
    }
    moments = {k: v for k, v in noise.items() if isinstance(v, float)}
    slopes = {k: v for k, v in collapse._asdict().items() if k.startswith("slope")}
    numbers = {
        "distribution": collapse.distribution,
        "distributions": fits,
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
