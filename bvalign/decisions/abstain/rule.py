"""The rule of `abstain.json`, applied to new predictions."""

import torch
from torch import Tensor

from bvalign.analysis.collect import one_thread_each
from bvalign.analysis.decompositions import Column, Unit, member_probs, vote_counts
from bvalign.analysis.groups import Doubts, doubts, sums_of_all
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.decisions.abstain.answer import accepted_of
from bvalign.decisions.abstain.choice import Choice
from bvalign.decisions.abstain.combination import Combination
from bvalign.decisions.abstain.said import percent, with_ends
from bvalign.predictions import Predictions


def apply_abstention(
    rule: dict[str, object], predictions: Predictions
) -> tuple[dict[str, Column], tuple[str, ...]]:
    """Says which predictions the rule accepts.

    Args:
        rule: as in abstain.json.
        predictions: with or without labels.

    Returns:
        Columns prediction, doubt, accepted and, with labels, label; and how many are accepted and
        how many of those are wrong.

    Raises:
        ValueError: no threshold reached the wanted error.
    """
    if rule["accept"] == "nothing":
        raise ValueError(
            f"the rule accepts nothing: no threshold kept the error rate at {rule['max_error']:g}; "
            "make one with `bvalign analyze ... --max-error` of a larger number"
        )
    found = _doubts(predictions)
    doubt = _choice(rule).doubt(found)
    everything = rule["accept"] == "everything"
    accepted = accepted_of(doubt, torch.inf if everything else rule["threshold"])
    clusters = None if predictions.clusters is None else torch.from_numpy(predictions.clusters)
    columns = {
        "prediction": Column(found.prediction, Unit("class id")),
        "doubt": Column(doubt, Unit(rule["formula"])),
        "accepted": Column(accepted, Unit("whether the prediction is accepted")),
    }
    lines = [f"accepted: {with_ends(_share(accepted, clusters))}, by {rule['doubt']}"]
    if predictions.target is not None:
        target = torch.from_numpy(predictions.target)
        columns["label"] = Column(target, Unit("class id"))
        lines.append(_wrong(found.prediction != target, accepted, rule, clusters))
    return columns, tuple(lines)


def _choice(rule: dict[str, object]) -> Choice:
    stored = rule["combination"]
    if stored is None:
        return Choice(rule["doubt"], (), None)
    tensors = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in stored.items()
        if name not in ("names", "intercept")
    }
    fitted = Combination(names=tuple(stored["names"]), intercept=stored["intercept"], **tensors)
    return Choice(rule["doubt"], (), fitted)


def _doubts(predictions: Predictions) -> Doubts:
    """Doubts of all samples, range by range as an analysis computes them."""
    parts = []
    with one_thread_each():
        for logits, _ in predictions.ranges():
            members = member_probs(logits)
            votes = vote_counts(members.votes, predictions.num_classes)
            parts.append(doubts(sums_of_all(members, members.probs.sum(dim=0), votes)))
    return Doubts(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _wrong(
    wrong: Tensor, accepted: Tensor, rule: dict[str, object], clusters: Tensor | None
) -> str:
    """How many of the accepted predictions are wrong, and whether that fits the promise."""
    of_all = f"{with_ends(_share(wrong, clusters))} of all predictions"
    if not accepted.any():
        return f"wrong: {of_all}"
    found = _share(wrong[accepted], None if clusters is None else clusters[accepted])
    line = f"wrong among them: {with_ends(found)}, {of_all}"
    line += f"; the rule promises at most {percent(rule['max_error'])}"
    if (found.quoted_interval or (0.0, 1.0))[0] > rule["max_error"]:
        line += ", which does not hold here: are samples and members of the same kind?"
    return line


def _share(marked: Tensor, clusters: Tensor | None) -> Estimate:
    spread = Spread(*samples_variance(marked.double(), clusters))
    return estimate(float(marked.double().mean()), spread, "proportion")
