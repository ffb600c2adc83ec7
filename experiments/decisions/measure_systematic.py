"""Systematic or chance? What other members make of each kind of error, and how groups differ.

Real ensembles: from some members, samples are named by a rule; how often are members wrong on them
that took no part? Simulations: how often groups that are alike are told apart, how many that are
not alike are found, and how often intervals hold the truth.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from decision_goals import Goal
from systematic_simulated import coverage, discoveries

from bvalign.analysis.decompositions import error_kinds
from bvalign.analysis.intervals import Spread, estimate, samples_variance
from bvalign.predictions import Predictions, open_predictions

NLI = "mnli-bert-10-seeds"
FIVES = (
    "mnist-mlp-10-seeds-test",
    "mnist-mlp-10-seeds-rotated-15",
    "mnist-mlp-10-seeds-rotated-45",
)
TRAINED = ("digits-cnn", "fashion-mnist-mlp")
RULES = {
    "systematic": "nearly all agree on a wrong class",
    "majority": "the majority is wrong",
    "member": "one member is wrong",
    "member_surest": "the surest errors of one member, as many as systematic ones",
    "mean_surest": "the surest errors of the mean, as many",
    "chance": "chance errors",
}
BASELINES = ("majority", "member", "member_surest")
"""What someone has who looks at one member, or counts votes."""


def measure(data: Path, runs: Path, *, quick: bool) -> dict:
    """Measures the rules on real ensembles, and groups in simulations."""
    found = {"rules": {}}
    for name, sets, error in _ensembles(data / "ensembles", runs):
        found["rules"][name] = _rules(sets, error)
    found["discoveries"] = discoveries(20 if quick else 1000)
    found["coverage"] = coverage(4 if quick else 400)
    return found


def table(found: dict) -> str:
    """What members that took no part make of the named samples; groups and intervals."""
    lines = [
        "Fraction of the votes of members that took no part that are wrong (95%, over samples), "
        "and the samples that each rule names.",
        "",
        "| ensemble | " + " | ".join(RULES.values()) + " |",
        "| --- |" + " --- |" * len(RULES),
    ]
    for name, rules in found["rules"].items():
        cells = (_cell(rules["of"][rule]) for rule in RULES)
        lines.append(f"| {name} ({rules['members']}) | {' | '.join(cells)} |")
    lines += [
        "",
        "Groups at q = 0.05: where all are alike; where one of ten has 80% more errors and one 80% "
        "fewer, the false among the named, and how many of those with more are found.",
        "",
        "| simulated | any named, all alike | false among named | found | any named, all alike: "
        "plain z at 0.05 | z, adjusted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["discoveries"]:
        cells = [f"{row[key]:.3f}" for key in ("any", "false", "power", "plain", "normal")]
        lines.append(f"| {row['what']} ({row['draws']} draws) | {' | '.join(cells)} |")
    lines += ["", "| 95% intervals of | hold the truth | median width |", "| --- | --- | --- |"]
    for row in found["coverage"]:
        lines.append(
            f"| {row['what']} | {row['covered']:.3f} of {row['trials']} | {row['width']:.3f} |"
        )
    return "\n".join(lines)


def goals(found: dict) -> list[Goal]:
    """The goals of this question."""
    level = [name for name, rules in found["rules"].items() if _wins(rules["of"])]
    any_named = max(row["any"] for row in found["discoveries"])
    false = max(row["false"] for row in found["discoveries"])
    covered = [row["covered"] for row in found["coverage"]]
    return [
        Goal(
            "systematic errors are wrong for other members more often than those of every baseline",
            f"on {len(level)} of {len(found['rules'])} sets",
            len(level) == len(found["rules"]),
        ),
        Goal(
            "any group named where all are alike: at most 5%",
            f"{any_named:.1%}",
            any_named <= 0.05,
        ),
        Goal("false discoveries: at most 5%", f"{false:.1%}", false <= 0.05),
        Goal(
            "intervals of groups cover 92 to 98 of 100",
            f"{min(covered):.1%} to {max(covered):.1%}",
            min(covered) >= 0.92 and max(covered) <= 0.98,
        ),
    ]


def _ensembles(
    folder: Path, runs: Path
) -> Iterator[tuple[str, list[tuple[Predictions, list[int]]], Callable]]:
    """Names, the sets of members that name samples, and the error of the others for each."""
    nli, _ = open_predictions(folder / f"{NLI}.npz")
    others = 1 - np.load(folder / f"{NLI}.npz")["correct_of_100_other_berts"] / 100
    yield f"{NLI}, 10 against 100 other BERTs", [(nli, list(range(10)))], lambda votes, own: others
    for name in FIVES:
        path = folder / f"{name}.npz"
        if path.exists():
            halves = [list(range(start, 10, 2)) for start in (0, 1)]
            yield f"{name}, 5 against 5", [(open_predictions(path)[0], h) for h in halves], _rest
    for name in TRAINED:
        if (runs / name / "run.json").exists():
            read, _ = open_predictions(runs / name)
            eights = [list(range(start, start + 8)) for start in range(0, len(read.members) - 7, 8)]
            rest = len(read.members) - 8
            yield f"{name}, 8 against {rest}", [(read, own) for own in eights], _rest


def _rest(wrong: np.ndarray, own: list[int]) -> np.ndarray:
    return np.delete(wrong, own, axis=0).mean(axis=0)


def _rules(sets: list[tuple[Predictions, list[int]]], error: Callable) -> dict:
    """Precision of each rule, over all sets of members."""
    predictions = sets[0][0]
    probs = predictions.read(0, predictions.num_samples).double().softmax(-1)
    target = torch.from_numpy(predictions.target)
    wrong = (probs.argmax(-1) != target).numpy()
    totals = dict.fromkeys(RULES, 0.0), dict.fromkeys(RULES, 0.0)
    for _, own in sets:
        of_others = error(wrong, own)
        for rule, weight in _named(probs[own], target).items():
            totals[0][rule] = totals[0][rule] + weight * of_others
            totals[1][rule] = totals[1][rule] + weight
    return {
        "members": len(sets[0][1]),
        "of": {rule: _ratio(totals[0][rule], totals[1][rule], len(sets)) for rule in RULES},
    }


def _named(probs: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
    """How much each rule names each sample, from 0 to 1."""
    mean, votes = probs.mean(0), probs.argmax(-1)
    counts = torch.nn.functional.one_hot(votes, probs.shape[-1]).sum(0)
    largest, main = counts.max(-1)
    error = (votes != target).double()
    correct = mean.argmax(-1) == target
    share = largest.double() / len(votes)
    kinds = error_kinds(correct, main != target, share, error.mean(0))
    number = int(kinds.systematic.sum())
    surest = (_surest(member, target, number) for member in probs)
    named = {
        "systematic": kinds.systematic,
        "majority": main != target,
        "member": error.mean(0),
        "member_surest": sum(surest) / len(votes),
        "mean_surest": _surest(mean, target, number),
        "chance": kinds.chance,
    }
    return {rule: values.double().numpy() for rule, values in named.items()}


def _surest(probs: torch.Tensor, target: torch.Tensor, number: int) -> torch.Tensor:
    """Marks so many errors, those of the largest probability."""
    top, found = probs.max(-1)
    chosen = top.where(found != target, -1.0).argsort(descending=True)[:number]
    return torch.zeros(len(target)).index_fill(0, chosen, 1.0) * (found != target)


def _ratio(part: np.ndarray, whole: np.ndarray, sets: int) -> dict[str, float]:
    value = float(part.sum() / whole.sum())
    influence = torch.from_numpy((part - value * whole) / whole.mean())
    number = estimate(value, Spread(*samples_variance(influence)), "proportion")
    return {"value": value, "interval": number.quoted_interval, "named": float(whole.sum()) / sets}


def _wins(rules: dict) -> bool:
    """Whether systematic errors lie above the interval of every baseline."""
    return all(rules["systematic"]["value"] > rules[name]["interval"][1] for name in BASELINES)


def _cell(rule: dict) -> str:
    low, high = rule["interval"]
    return f"{rule['value']:.3f} ({low:.3f} to {high:.3f}), {rule['named']:.0f}"
