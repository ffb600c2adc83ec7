"""Which labels are wrong: the posterior of each, and how many there are.

Two explanations of the same labels are fitted (`noisy_labels.py`) and weigh the same, as labels
alone cannot tell them apart: wrong labels fall on any class alike, or on some classes more than on
others, as the matrix T says. `wrong_label` is the mean of their two posteriors. Where the classes
of a sample are its own, as in multiple choice, only the first makes sense.

The number of wrong labels is the sum of the posteriors. Its interval is the union of those of the
two explanations: Wilson's, from the variance over samples of the posterior and, label by label, of
being wrong or not.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.collect import draw_positions
from bvalign.analysis.decompositions import Column, Unit
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.analysis.summary import Analysis
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.noisy_labels import (
    Evidence,
    LabelModel,
    evidence,
    fit_label_model,
    posterior,
)

FITTED = 5000
"""Most samples that the constants are fitted to, drawn at random."""

PIECE = 2**16
"""Samples that are weighed at a time."""

LEAST_SAMPLES, MOST_CLASSES = 50, 4096
LEAST_SUSPICION, MOST_SUSPICIOUS = 0.1, 300
"""Smallest posterior, and largest number, of the labels to be reviewed."""

LISTED = 20
"""Most suspicious labels in summary.json."""

SAMPLES_ALONE = "over samples alone: the model is not fitted again with members left out"
SOFT = "labels are soft, and a distribution over classes has no other class to be wrong for"
REVIEW = "review.html"
"""Beside the report, if there is something to review."""

PAGE = "docs/decisions/wrong_labels.md"
ASSUMPTION = (
    "Holds if no member has seen the labels that it judges: those of a test set, or of training "
    "samples out of fold. Mistakes in labels that members have learned to make themselves go "
    "unseen, so that there are more regular mistakes than is said."
)


@dataclass(frozen=True)
class WrongLabels(Decision):
    """The posterior of each label.

    Attributes:
        wrong: posterior that the label is wrong (samples); NaN without an answer.
        suggested: most probable class other than the label (samples); the label without an answer.
        order: samples by descending posterior (samples).
        by_loss: samples by descending loss of the mean (samples).
        index: rows of the data set (samples).
        label: class ids (samples).
        share: of the labels that is wrong.
        explained: share by explanation.
        contradicted: labels that are not the prediction of the ensemble.
    """

    wrong: Float[Tensor, " samples"]
    suggested: Int[Tensor, " samples"]
    order: Int[Tensor, " samples"]
    by_loss: Int[Tensor, " samples"]
    index: Int[Tensor, " samples"]
    label: Int[Tensor, " samples"]
    share: Estimate
    explained: dict[str, Estimate]
    contradicted: int

    @cached_property
    def number(self) -> Estimate:
        """Of wrong labels among these samples."""
        size, share = len(self.label), self.share
        if share.value is None:
            return share
        low, high = share.interval_samples
        return Estimate(share.value * size, None, (low * size, high * size), None, SAMPLES_ALONE)

    def suspicious(self) -> Int[Tensor, " reviewed"]:
        """Positions of the labels to be reviewed, the most suspicious first; at most 300."""
        if self.share.value is None:
            return self.order[:0]
        number = int((self.wrong >= LEAST_SUSPICION).sum())
        return self.order[: min(number, MOST_SUSPICIOUS)]

    def card(self) -> Card:
        return Card(
            key="wrong_labels",
            question="Which labels are wrong?",
            answer=self._answer(),
            number=self.number,
            assumption=ASSUMPTION,
            baseline=self._baseline(),
            chart=self._chart(),
            page=PAGE,
            beside=REVIEW if len(self.suspicious()) else "",
        )

    def summary(self) -> dict[str, object]:
        rows = self.suspicious()[:LISTED]
        columns = (self.index, self.label, self.suggested, self.wrong)
        keys = ("index", "label", "suggested_label", "wrong_label")
        listed = zip(*(column[rows].tolist() for column in columns), strict=True)
        return {
            "share": self.share,
            "explained": self.explained,
            "contradicted": self.contradicted,
            "reviewed": len(self.suspicious()),
            "most_suspicious": [dict(zip(keys, row, strict=True)) for row in listed],
        }

    def columns(self) -> dict[str, Column]:
        if self.share.value is None:
            return {}
        return {
            "wrong_label": Column(self.wrong, Unit("probability", kind="proportion")),
            "suggested_label": Column(self.suggested, Unit("class id")),
        }

    def _answer(self) -> str:
        size, number = len(self.label), self.number
        if number.value is None:
            return f"No answer: {number.reason}."
        low, high = number.interval_samples
        wrong, ends = f"{number.value:,.0f}", f"95% CI {low:,.0f} to {high:,.0f}"
        rows = self.suspicious()
        if not len(rows):
            return (
                f"No label looks wrong: an estimated {wrong} of {size:,} are ({ends}), and none "
                f"has a probability of {LEAST_SUSPICION:g} or more."
            )
        found = float(self.wrong[rows].sum())
        return (
            f"An estimated {wrong} of {size:,} labels are wrong ({ends}). Review the "
            f"{len(rows):,} most suspicious first, beside the class that the members suggest: "
            f"about {found:,.0f} of them are wrong."
        )

    def _baseline(self) -> str:
        if self.share.value is None:
            return ""
        rows = len(self.suspicious())
        found = float(self.wrong[self.by_loss[:rows]].sum())
        said = f"The ensemble contradicts {self.contradicted:,} labels, some of them merely hard."
        if rows:
            said += f" Sorted by loss, the first {rows:,} hold about {found:,.0f} wrong ones."
        return said

    def _chart(self) -> Chart | None:
        if not len(self.suspicious()):
            return None
        most = min(2 * len(self.suspicious()), len(self.label))
        checked = torch.unique(torch.logspace(0, math.log10(most), 40).round().long())
        curves = [
            Curve(name, checked.tolist(), _running_mean(self.wrong[order])[checked - 1].tolist())
            for name, order in (("most suspicious first", self.order), ("by loss", self.by_loss))
        ]
        curves[1] = curves[1]._replace(style="dashed")
        return Chart(tuple(curves), "labels checked", "share expected to be wrong", log_x=True)


def wrong_labels(analysis: Analysis) -> WrongLabels:
    """Ranks the labels by the probability that they are wrong.

    Args:
        analysis: of samples whose labels no member has seen.
    """
    table, size = analysis.table, analysis.num_samples
    contradicted = int((table.prediction != table.target).sum())
    about = {"index": table.index, "label": table.target, "contradicted": contradicted}
    if reason := _reason(analysis, contradicted):
        none = torch.full((size,), math.nan, dtype=torch.float64)
        order, share = torch.arange(size), Estimate(None, reason=reason)
        return WrongLabels(none, table.target, order, order, share=share, explained={}, **about)
    imagined = {"any_class": math.inf, "some_classes": float(analysis.num_classes)}
    if table.num_options is not None:
        imagined.pop("some_classes")
    drawn, rows = evidence(analysis, draw_positions(size, FITTED)), torch.arange(size).split(PIECE)
    models = [fit_label_model(drawn, analysis.num_classes, each) for each in imagined.values()]
    pieces = [_weighed(evidence(analysis, some), models) for some in rows]
    each, suggested, own = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    wrong = each.mean(dim=1)
    shares = [_share(column, table.cluster) for column in each.unbind(dim=1)]
    return WrongLabels(
        wrong,
        suggested,
        wrong.argsort(descending=True, stable=True),
        own.argsort(stable=True),
        share=_union(float(wrong.mean()), shares),
        explained=dict(zip(imagined, shares, strict=True)),
        **about,
    )


def _weighed(found: Evidence, models: list[LabelModel]) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior of a wrong label under each model, suggested class, log p of the label."""
    after = torch.stack([posterior(found, model).after for model in models])
    others = after.mean(dim=0)[:, 1:-1].argmax(dim=1, keepdim=True) + 1
    suggested = found.classes.gather(1, others).squeeze(1)
    return after[..., 1:].sum(dim=2).T, suggested, found.log_probs[:, 0]


def _reason(analysis: Analysis, contradicted: int) -> str | None:
    """Why there is no answer; None if there is one."""
    size, classes = analysis.num_samples, analysis.num_classes
    if analysis.soft_labels:
        return SOFT
    if size < LEAST_SAMPLES:
        return f"the model needs {LEAST_SAMPLES} samples, and there are {size}"
    if classes > MOST_CLASSES:
        return f"the model is tried up to {MOST_CLASSES:,} classes, and there are {classes:,}"
    if contradicted >= size * (1 - 1 / classes):
        return (
            f"the ensemble contradicts {contradicted:,} of {size:,} labels, as many as by chance: "
            "they may be in another order than the samples, or classes in another than the columns"
        )
    return None


def _share(wrong: Float[Tensor, " samples"], clusters: Int[Tensor, " samples"] | None) -> Estimate:
    samples, units = samples_variance(wrong, clusters)
    either = float((wrong * (1 - wrong)).sum()) / len(wrong) ** 2
    spread = Spread(samples + either, units)
    return estimate(float(wrong.mean()), spread, "proportion", without_members=SAMPLES_ALONE)


def _union(value: float, shares: list[Estimate]) -> Estimate:
    ends = [share.interval_samples for share in shares]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return Estimate(value, None, (low, high), None, SAMPLES_ALONE)


def _running_mean(values: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    return values.cumsum(dim=0) / torch.arange(1, len(values) + 1)
