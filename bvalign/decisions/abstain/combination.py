"""One doubt from several: a logistic regression of the errors on the logarithms of the doubts.

With x the standardised logarithms of the doubts of a sample (1 where all are alike) and c the class
that is predicted, the fitted probability of an error is

    σ(a + b · x + g_c)        a, b, g of least  -log likelihood + (‖b‖² + ‖g‖²) / 2

found by Newton's method, whose steps are halved until the sum falls. The penalty keeps b finite
where errors are few, and g_c at zero for a class of few samples. Which class is predicted is worth
knowing: where one class is more often mistaken for another, the same confidence means less.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.groups import Doubts

OF_ONE = ("confidence", "margin", "entropy")
"""Doubts that one member has, too."""

SMALLEST = 1e-12
"""Smaller doubts count as this one."""

MOST_CLASSES = 50
"""With more classes there is no g: a system of linear equations with an unknown for each."""

LEAST_OF_BOTH = 10
"""Fewest errors, and fewest right predictions, that a fit needs."""

FOLDS = 5
STEPS = 50
TOLERANCE = 1e-9


class Combination(NamedTuple):
    """Coefficients of a fit; all in float64."""

    names: tuple[str, ...]  # of the doubts
    centre: Float[Tensor, " doubts"]  # of their logarithms
    scale: Float[Tensor, " doubts"]
    intercept: float  # a
    slopes: Float[Tensor, " doubts"]  # b
    of_class: Float[Tensor, " classes"]  # g; zeros where there are too many classes

    def probability(self, found: Doubts) -> Float[Tensor, "*sets samples"]:
        """Fitted probability that each prediction is wrong."""
        x = (_logarithms(found, self.names) - self.centre) / self.scale
        return torch.sigmoid(self.intercept + x @ self.slopes + self.of_class[found.prediction])


def combine(
    found: Doubts, wrong: Float[Tensor, " samples"], names: tuple[str, ...], num_classes: int
) -> Combination:
    """Fits the coefficients.

    Args:
        found: doubts of each sample.
        wrong: 1 where the prediction is wrong, else 0.
        names: of the doubts to combine.
        num_classes: K.
    """
    logarithms = _logarithms(found, names)
    centre, scale = logarithms.mean(dim=0), logarithms.std(dim=0)
    scale = torch.where(scale > TOLERANCE, scale, 1.0)
    columns = [torch.ones(len(wrong), 1).double(), (logarithms - centre) / scale]
    with_classes = num_classes <= MOST_CLASSES
    if with_classes:
        columns.append(torch.nn.functional.one_hot(found.prediction, num_classes).double())
    found = _logistic(torch.cat(columns, dim=1), wrong)
    slopes, of_class = found[1 : len(names) + 1], found[len(names) + 1 :]
    if not with_classes:
        of_class = torch.zeros(num_classes).double()
    return Combination(names, centre, scale, float(found[0]), slopes, of_class)


def out_of_fold(
    found: Doubts, wrong: Float[Tensor, " samples"], names: tuple[str, ...], num_classes: int
) -> Float[Tensor, " samples"]:
    """Probability of an error of each sample, from a fit to the other four fifths.

    Arguments as for `combine`; each fifth is a run of successive samples.
    """
    result = torch.empty_like(wrong)
    for fold in torch.arange(len(wrong)).tensor_split(FOLDS):
        rest = torch.ones(len(wrong), dtype=torch.bool)
        rest[fold] = False
        fitted = combine(rows_of(found, rest), wrong[rest], names, num_classes)
        result[fold] = fitted.probability(rows_of(found, fold))
    return result


def rows_of(found: Doubts, rows: Tensor | slice) -> Doubts:
    """The doubts of some samples."""
    return Doubts(*(values[..., rows] for values in found))


def _logarithms(found: Doubts, names: tuple[str, ...]) -> Float[Tensor, "*sets samples doubts"]:
    doubts = torch.stack([getattr(found, name) for name in names], dim=-1)
    return doubts.clamp(min=SMALLEST).log()


def _logistic(
    x: Float[Tensor, "samples unknowns"], wrong: Float[Tensor, " samples"]
) -> Float[Tensor, " unknowns"]:
    """Coefficients of least penalised loss; the first one, an intercept, has no penalty."""
    penalty = torch.ones(x.shape[1], dtype=torch.float64)
    penalty[0] = 0.0

    def loss(at: Tensor) -> float:
        line = x @ at
        fit = torch.nn.functional.softplus(line) - wrong * line
        return float(fit.sum() + (penalty * at.square()).sum() / 2)

    at = torch.zeros_like(penalty)
    at[0] = torch.logit(wrong.mean(), eps=SMALLEST)
    best = loss(at)
    for _ in range(STEPS):
        p = torch.sigmoid(x @ at)
        gradient = x.T @ (p - wrong) + penalty * at
        curvature = (x * (p * (1 - p)).unsqueeze(1)).T @ x + torch.diag(penalty)
        step = torch.linalg.solve(curvature, gradient)
        while (lower := loss(at - step)) > best and step.abs().max() > TOLERANCE:
            step = step / 2
        at, gained, best = at - step, best - lower, lower
        if gained < TOLERANCE * (1 + abs(best)):
            break
    return at
