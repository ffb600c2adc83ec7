"""The four measures of neural collapse of one network (Papyan, Han and Donoho 2020).

Symbols, for N samples with features h_i in R^d (what the last linear layer sees) in K classes:
    mu_k         mean feature of class k;  mu = mean_k mu_k (classes weigh the same)
    Mdot         (classes, features), rows mu_k - mu
    Sigma_W      mean_i (h_i - mu_{y_i})(h_i - mu_{y_i})^T;   Sigma_B = Mdot^T Mdot / K
    W, beta      weight matrix (classes, features) and bias (classes) of the last layer

NC1, variability collapses   tr(Sigma_W pinv(Sigma_B)) / K
NC2, simplex                 norms of the rows of Mdot, and of W, become equal; cosines between
                             any two of them become -1/(K-1)
NC3, self-duality            ‖W/‖W‖ - Mdot/‖Mdot‖‖²  (Frobenius norms)
NC4, nearest class mean      fraction of samples where argmax_k (W h + beta)_k is not the class of
                             the nearest mu_k
All are zero at full collapse. None changes when features and W are rotated together, nor do NC1 to
NC3 when features are shifted or scaled. With singular values s_r and right singular vectors
u_r of Mdot, NC1 is sum_r mean_i <h_i - mu_{y_i}, u_r>² / s_r²: no matrix of size (features,
features) is formed.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_SMALLEST_EIGENVALUE = 1e-8  # of Sigma_B, relative to the largest: its rank is at most K - 1


class Simplex(NamedTuple):
    """Deviation of K vectors from a simplex centred at the origin; all zero at collapse."""

    norm_variation: float  # standard deviation of the norms over their mean
    cosine_deviation: float  # standard deviation of the cosines over pairs of classes
    cosine_error: float  # mean |cosine + 1/(K-1)| over pairs of classes


class NeuralCollapse(NamedTuple):
    """Measures NC1 to NC4, without units; zero at full collapse."""

    within_over_between: float  # NC1
    class_means: Simplex  # NC2
    classifier: Simplex  # NC2
    self_duality: float  # NC3, 0 to 4
    nearest_mean_disagreement: float  # NC4, a fraction of the samples


def neural_collapse(
    features: Float[Tensor, "samples features"],
    target: Int[Tensor, " samples"],
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
) -> NeuralCollapse:
    """Measures NC1 to NC4 in float64, usually on the training samples, where collapse happens.

    Args:
        features: input of the last linear layer for each sample, any float type.
        target: labels, int64 in 0..K-1; every class must occur.
        weight: of the last linear layer, K >= 2 rows.
        bias: of the last linear layer; zeros if it has none.

    Raises:
        ValueError: shapes do not fit, a label is out of range, a class has no samples, values are
            NaN or inf, a class mean equals the mean of all, or weight has a row of zeros.

    >>> features, target = torch.tensor([[1.0], [3.0], [-2.0]]), torch.tensor([0, 0, 1])
    >>> weight, bias = torch.tensor([[1.0], [-1.0]]), torch.zeros(2)
    >>> round(neural_collapse(features, target, weight, bias).within_over_between, 12)
    0.083333333333
    """
    _check(features, target, weight, bias)
    num_classes = len(weight)
    features, weight, bias = features.double(), weight.double(), bias.double()
    sums = torch.zeros_like(weight).index_add_(0, target, features)
    means = sums / target.bincount(minlength=num_classes).unsqueeze(-1)
    centre = means.mean(dim=0)
    between = means - centre
    rounding = 1e-12 * means.norm().item()
    return NeuralCollapse(
        within_over_between=_within_over_between(features - means[target], between),
        class_means=_simplex(between, "class mean, less the mean of all,", floor=rounding),
        classifier=_simplex(weight, "row of weight", floor=0.0),
        self_duality=(weight / weight.norm() - between / between.norm()).square().sum().item(),
        nearest_mean_disagreement=_disagreement(features, weight, bias, centre, between),
    )


def _check(features: Tensor, target: Tensor, weight: Tensor, bias: Tensor) -> None:
    shapes = [tuple(tensor.shape) for tensor in (features, target, weight, bias)]
    fit = features.ndim == weight.ndim == 2 and features.shape[1] == weight.shape[1]
    if not fit or target.shape != features.shape[:1] or bias.shape != weight.shape[:1]:
        raise ValueError(
            "features must have axes (samples, features), target (samples), weight (classes, "
            f"features) and bias (classes), got {', '.join(map(str, shapes))}"
        )
    num_classes = len(weight)
    if num_classes < 2:
        raise ValueError(f"weight must have at least 2 rows, one for each class, got {num_classes}")
    for name, tensor in {"features": features, "weight": weight, "bias": bias}.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} must be finite, got {int((~tensor.isfinite()).sum())} values")
    outside = target[(target < 0) | (target >= num_classes)]
    if len(outside):
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, got {int(outside[0])}")
    missing = (target.bincount(minlength=num_classes) == 0).nonzero().flatten().tolist()
    if missing:
        raise ValueError(f"every class needs samples, got none of {missing[:10]}")


def _within_over_between(
    deviation: Float[Tensor, "samples features"], between: Float[Tensor, "classes features"]
) -> float:
    _, singular, directions = torch.linalg.svd(between, full_matrices=False)
    kept = singular.square() > _SMALLEST_EIGENVALUE * singular[0].square()
    standardised = deviation @ directions[kept].T / singular[kept]
    return standardised.square().sum(dim=-1).mean().item()


def _simplex(vectors: Float[Tensor, "classes features"], name: str, *, floor: float) -> Simplex:
    norms = vectors.norm(dim=-1)
    zero = (norms <= floor).nonzero().flatten().tolist()
    if zero:
        raise ValueError(f"every {name} must differ from zero, got zero for classes {zero[:10]}")
    cosines = (vectors @ vectors.T) / norms.outer(norms)
    pairs = cosines[~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)]
    return Simplex(
        norm_variation=(norms.std(correction=0) / norms.mean()).item(),
        cosine_deviation=pairs.std(correction=0).item(),
        cosine_error=(pairs + 1 / (len(vectors) - 1)).abs().mean().item(),
    )


def _disagreement(
    features: Float[Tensor, "samples features"],
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    centre: Float[Tensor, " features"],
    between: Float[Tensor, "classes features"],
) -> float:
    """NC4; ‖h - mu_k‖² is expanded around mu, up to terms common to all classes."""
    closeness = (features - centre) @ between.T - between.square().sum(dim=-1) / 2
    predicted = (features @ weight.T + bias).argmax(dim=-1)
    return (predicted != closeness.argmax(dim=-1)).double().mean().item()
