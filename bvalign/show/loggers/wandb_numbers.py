"""Numbers of an ensemble under the keys of W&B: its configuration, and its results."""

import math
from collections.abc import Mapping
from typing import Any

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.decisions import Decisions

OPTIONS = ("data", "model", "seed_everything")
"""Parts of the configuration that are also logged option by option."""


def options(cli: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration under the names that its options have on the command line.

    Columns, filters and plots of W&B take such keys, and a sweep sets them.

    Args:
        cli: the whole configuration, nested.
        identity: of the run, flat; of the Trainer's options it has those that decide weights.

    >>> cli = {"model": {"width": 8, "arch_args": None}, "seed_everything": 0}
    >>> options(cli, {"trainer.max_epochs": 2})
    {'trainer.max_epochs': 2, 'model.width': 8, 'seed_everything': 0}
    """
    flat = {k: v for k, v in identity.items() if k.startswith("trainer.") and v is not None}
    for part in OPTIONS:
        value = cli.get(part)
        if part == "data" and value:
            flat["data"] = value["class_path"].rpartition(".")[2]
            value = value.get("init_args")
        flat |= _flat(part, value)
    return flat


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turns {"model.lr": 0.1} into {"model": {"lr": 0.1}}."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        at = found
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return found


def results(analysis: Analysis, decisions: Decisions) -> dict[str, float | int]:
    """Numbers of all members with the ends of their intervals, those that there are."""
    means, found = analysis.means, analysis.alignment
    population = found.logit_slope
    keys = ("noise", "bias_sq", "variance", "risk")
    estimates = {f"result/{key}": means[key] for key in keys if key in means}
    estimates |= {
        "result/accuracy": analysis.accuracy,
        "result/member_accuracy": analysis.mean_member_accuracy,
        "result/slope": population.slope,
        "result/offset": population.offset,
        "result/ols": found.ols["slope"],
    }
    estimates |= {f"decisions/{key}": one.card().number for key, one in decisions.items()}
    numbers = {
        "result/num_members": analysis.num_members,
        "result/quotable": population.quotable,
    }
    if math.isfinite(share := analysis.variance_share()["squared"]):
        numbers["result/variance_share"] = share
    for key, estimate in estimates.items():
        numbers |= _with_ends(key, estimate)
    return numbers


def _with_ends(key: str, estimate: Estimate) -> dict[str, float]:
    if estimate.value is None:
        return {}
    low, high = estimate.quoted_interval or (None, None)
    ends = {f"{key}_low": low, f"{key}_high": high}
    return {key: estimate.value} | {name: end for name, end in ends.items() if end is not None}


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {} if value is None else {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{prefix}.{key}", inner)
    return flat
