"""A model of labels of which some are wrong, fitted to labels and mean probabilities.

For a sample, p_k is the mean probability of class k over members that have not seen its label y,
and t its true class.

    q_t = p_t^a_c / sum_k p_k^a_c     c the most probable class: a_c, an inverse temperature of each
                                      class, makes up for members that are too sure or not enough
    P(y) = sum_t q_t T_ty             T_ty: how often a true t is labelled y (Patrini et al. 2017)
    w_t = q_t T_ty / P(y)             posterior of the true class; 1 - w_y that the label is wrong

Members that disagree have a flat p, so that a hard sample explains its label by itself; members
that agree on another class leave it to T. EM (Dempster, Laird & Rubin 1977) maximises
sum log P(y) plus two logarithms of priors. Rows of T: `imagined` labels beside those of the data,
spread as if wrong labels fell on all other classes alike, at the rate of the current fit. a_c:
normal around their mean, standard deviation SPREAD.

Only the label and the leading classes of each sample enter one by one. The others stand together,
with equal shares of the remaining probability.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.leading import Leading
from bvalign.analysis.summary import Analysis

SPREAD = 0.3
MOST_ROUNDS, TOLERANCE = 100, 1e-5
"""EM ends after so many rounds, or once the log-likelihood per sample moves by less, nats."""

SHARPEST, LEAST_PROB = 64.0, 1e-30


class Evidence(NamedTuple):
    """What is known of the true class of each sample; candidate 0 is its label."""

    classes: Int[Tensor, "samples candidates"]
    log_probs: Float[Tensor, "samples all"]  # log p; the last column is one of the other classes
    log_count: Float[Tensor, "samples all"]  # log of the classes in a column; -inf for none


class LabelModel(NamedTuple):
    """The fitted constants."""

    transition: Float[Tensor, "classes classes"]  # T: true class, label
    sharpness: Float[Tensor, " classes"]  # a


class Posterior(NamedTuple):
    """Of the true class, by column of the evidence."""

    before: Float[Tensor, "samples all"]  # q, before the label is seen
    after: Float[Tensor, "samples all"]  # w
    log_likelihood: float  # mean log P(y), nats


def evidence(analysis: Analysis, rows: Int[Tensor, " samples"]) -> Evidence:
    """Collects label, leading classes and the rest of some samples.

    A class without a vote, where members vote, counts as 1 / K of a vote.

    Args:
        analysis: with class ids as labels.
        rows: positions of the samples.
    """
    table, members, classes = analysis.table, analysis.num_members, analysis.num_classes
    lead = Leading(*(field[rows] for field in table.leading))
    label, probs = table.target[rows, None], lead.probs.double()
    own = 1 - table.soft_error[rows, None]
    if torch.equal(lead.probs, lead.votes.float() / members):
        probs, own = ((p * members + 1 / classes) / (members + 1) for p in (probs, own))
    same = lead.classes == label
    own = torch.where(same.any(dim=1, keepdim=True), (probs * same).sum(dim=1, keepdim=True), own)
    options = torch.full_like(label, classes)
    if table.num_options is not None:
        options = table.num_options[rows, None]
    listed = ~same & (torch.arange(same.shape[1]) < options)  # classes that are lacking come last
    others = options - 1 - listed.sum(dim=1, keepdim=True)
    rest = (1 - own - (probs * listed).sum(dim=1, keepdim=True)) / others.clamp(min=1)
    log_probs = torch.cat([own, probs, rest], dim=1).clamp(min=LEAST_PROB).log()
    count = torch.cat([torch.ones_like(own), listed.double(), others.double()], dim=1)
    return Evidence(torch.cat([label, lead.classes.long()], dim=1), log_probs, count.log())


def posterior(found: Evidence, model: LabelModel) -> Posterior:
    """Weighs the classes of each sample by its label.

    Args:
        found: of the samples.
        model: fitted to these samples or to others.

    >>> import torch
    >>> p = torch.tensor([[0.1, 0.9, 0.9, 1.0]]).double()  # a label that members contradict
    >>> count = torch.tensor([[1.0, 0.0, 1.0, 0.0]]).double()
    >>> found = Evidence(torch.tensor([[0, 0, 1]]), p.log(), count.log())
    >>> noise = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).double()
    >>> weights = posterior(found, LabelModel(noise, torch.ones(2).double())).after
    >>> [round(weight, 2) for weight in weights[0].tolist()]  # 0.1 x 0.8 against 0.9 x 0.2
    [0.31, 0.0, 0.69, 0.0]
    """
    label, noise = found.classes[:, :1], model.transition
    powers = model.sharpness[found.classes[:, 1:2]] * found.log_probs
    before = (powers + found.log_count).softmax(dim=1)
    of_rest = (noise.sum(dim=0) - noise.diagonal()) / max(len(noise) - 1, 1)
    joint = before * torch.cat([noise[found.classes, label], of_rest[label]], dim=1)
    likelihood = joint.sum(dim=1, keepdim=True)
    return Posterior(before, joint / likelihood, float(likelihood.log().mean()))


def fit_label_model(found: Evidence, num_classes: int, imagined: float) -> LabelModel:
    """Fits the constants to samples whose labels no member has seen.

    Args:
        found: of the samples.
        num_classes: K.
        imagined: labels added to each row of T; with infinitely many, all wrong labels are equally
            frequent.
    """
    label, predicted = found.classes[:, 0], found.classes[:, 1]
    wrong = float((label != predicted).double().mean())
    model = LabelModel(
        _symmetric(num_classes, min(max(wrong, 1e-6), 0.5)), torch.ones(num_classes).double()
    )
    last = -math.inf
    for _ in range(MOST_ROUNDS):
        weights = posterior(found, model)
        if abs(weights.log_likelihood - last) < TOLERANCE:
            break
        last = weights.log_likelihood
        counts = _counts(found, weights.after, num_classes)
        rate = 1 - float(counts.diagonal().sum()) / len(label)
        prior = _symmetric(num_classes, max(rate, 1e-6))
        if math.isfinite(imagined):
            rows = counts.sum(dim=1, keepdim=True) + imagined
            prior = (counts + imagined * prior) / rows
        model = LabelModel(prior, _sharpened(found, weights, model.sharpness))
    return model


def _symmetric(num_classes: int, rate: float) -> Float[Tensor, "classes classes"]:
    noise = torch.full((num_classes, num_classes), rate / (num_classes - 1), dtype=torch.float64)
    return noise.fill_diagonal_(1 - rate)


def _counts(
    found: Evidence, weights: Float[Tensor, "samples all"], num_classes: int
) -> Float[Tensor, "classes classes"]:
    """Expected number of samples by true class and label."""
    label = found.classes[:, :1]
    cells = (found.classes * num_classes + label).flatten()
    counts = torch.bincount(cells, weights[:, :-1].flatten(), minlength=num_classes**2)
    counts = counts.reshape(num_classes, num_classes)
    rest = torch.bincount(label[:, 0], weights[:, -1], minlength=num_classes)
    others = 1 - torch.eye(num_classes, dtype=torch.float64)
    return counts + others * rest / (num_classes - 1)


def _sharpened(
    found: Evidence, weights: Posterior, sharpness: Float[Tensor, " classes"]
) -> Float[Tensor, " classes"]:
    """One Newton step of sum w_t log q_t and the prior, a concave function of each a_c."""

    def by_class(values: Float[Tensor, " samples"]) -> Float[Tensor, " classes"]:
        return torch.bincount(found.classes[:, 1], values, minlength=len(sharpness))

    mean = (weights.before * found.log_probs).sum(dim=1)
    slope = by_class((weights.after * found.log_probs).sum(dim=1) - mean)
    centred = found.log_probs - mean.unsqueeze(1)
    curvature = by_class((weights.before * centred.square()).sum(dim=1))
    slope = slope - (sharpness - sharpness.mean()) / SPREAD**2
    inverse = 1 / (curvature + 1 / SPREAD**2)
    step = inverse * slope  # and, as the mean of all moves as well (Sherman & Morrison 1950),
    step = step + inverse * step.sum() / (len(step) * SPREAD**2 - inverse.sum()).clamp(min=1e-9)
    return (sharpness + step.clamp(-1, 1)).clamp(1 / SHARPEST, SHARPEST)
