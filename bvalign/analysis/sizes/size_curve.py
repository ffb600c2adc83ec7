"""A number of ensembles of any size, from its values at a few sizes, with intervals.

With t = 1/m, a number of an ensemble of m members drawn from many is close to a polynomial in t:
the squared-loss risk is exactly bias² + variance t; an error rate is that of infinitely many
members blurred over margins by noise of variance t, sum_k f^(k) t^k (f the density of margins over
their noise at zero and its derivatives, by the heat equation); a smooth loss has the expansion of
the delta method. So with unbiased values v_l at the levels t_l, between them and beyond,

    v(t) = sum_l w_l(t) v_l      w of Lagrange: the parabola (or line) through the nearest levels

which at 1/M is the number of all members, and at t = 0 that of infinitely many. It is linear in the
values, so its variances over samples and members are quadratic forms (`two_way.py`); without a part
of the members, the levels are at other t and have other weights. Where it is not the line through
the same levels, the interval is stretched by their distance, on the side where the parabola is of
the line: the next term of the polynomial, which these members cannot show, is about that large.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Kind
from bvalign.analysis.groups import left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_covariance, stretched
from bvalign.analysis.sizes.unions import Unions


class Drawn(NamedTuple):
    """The samples whose losses are known for every set of members, among all."""

    positions: Int[Tensor, " drawn"]
    clusters: Int[Tensor, " samples"] | None  # of all samples; None if they are independent


class OfSets(NamedTuple):
    """A number of each set of members."""

    influence: Float[Tensor, "sets drawn"]  # of each drawn sample, as on a mean
    kind: Kind = "real"
    nodes: int = 3  # as for `SizeCurve`
    totals: Float[Tensor, " sets"] | None = None  # the number; None if it is that mean
    whole: Float[Tensor, " samples"] | None = None  # of all members on all samples, if it is known


class SizeCurve(NamedTuple):
    """Values at some sizes with what their variances are made of.

    The axis `numbers` is the base, which is the last level, then every other level minus the base.
    """

    inverse: Float[Tensor, " levels"]  # t, descending
    numbers: Float[Tensor, " numbers"]
    samples: Float[Tensor, "numbers numbers"]  # V_s
    units: int
    without_inverse: Float[Tensor, "parts levels"]  # without each part
    without: Float[Tensor, "parts numbers"]
    products: Float[Tensor, "parts numbers parts numbers"]  # mean over samples, over N
    moved: Float[Tensor, " numbers"]  # mean magnitude of each number on a sample
    kind: Kind = "real"
    nodes: int = 3  # of the polynomial beyond all members: a parabola, or 2 for a line

    @property
    def defined(self) -> bool:
        """Whether there is a value at every level."""
        return bool(self.numbers.isfinite().all())

    def at(self, size: int | float) -> Estimate:
        """The number of an ensemble of that size; `math.inf` for infinitely many members."""
        return self._estimate({size: 1.0}, self.kind)

    def change(self, old: int | float, new: int | float) -> Estimate:
        """The number at the new size minus that at the old one."""
        kind: Kind = "difference" if self.kind == "proportion" else "real"
        return self._estimate({new: 1.0, old: -1.0}, kind)

    def _estimate(self, sizes: dict[int | float, float], kind: Kind) -> Estimate:
        """A sum of the numbers of some sizes, each with its factor."""
        if not self.defined:
            return Estimate(None, reason="a member gives the label a probability of zero")
        w, line, parabola = (
            self._weights(sizes, self.inverse, most) for most in (self.nodes, 2, 3)
        )
        parts = len(self.without)
        value = _within(float(w @ self.numbers), kind)
        spread = Spread(float(w @ self.samples @ w), self.units)
        if parts:
            own = torch.stack([self._weights(sizes, t, self.nodes) for t in self.without_inverse])
            members = left_out_variance((own * self.without).sum(dim=1))
            shared = torch.einsum("pl,plqk,qk->pq", own, self.products, own)
            both = (parts - 1) / parts * (shared.trace() - shared.sum() / parts)
            spread = Spread(*spread[:2], float(members), float(both), parts)
        found = estimate(value, spread, kind, magnitude=float(w.abs() @ self.moved))
        further = _within(float((2 * parabola - line) @ self.numbers), kind) - value
        return stretched(found, min(further, 0.0), max(further, 0.0))

    def _weights(
        self, sizes: dict[int | float, float], inverse: Float[Tensor, " levels"], most: int
    ) -> Float[Tensor, " numbers"]:
        """Weights of the base and of the other levels minus the base."""
        nodes, least = inverse.tolist(), float(self.inverse[-1])
        of_levels = torch.zeros(len(nodes), dtype=torch.float64)
        for size, factor in sizes.items():
            within = 1 / size > least
            found = lagrange(1 / size, nodes, 3 if within else most)
            of_levels += factor * torch.tensor(found, dtype=torch.float64)
        base = sum(sizes.values())  # the weights of each size add up to one
        return torch.cat([of_levels.new_tensor([base]), of_levels[:-1]])


def lagrange(at: float, nodes: list[float], most: int = 3) -> list[float]:
    """Weights of the values at some nodes in the polynomial through the nearest of them.

    Args:
        at: where its value is wanted.
        nodes: descending.
        most: nodes of a polynomial.

    >>> lagrange(0.0, [1.0, 0.5, 0.25], 2)  # the line through the last two
    [0.0, -1.0, 2.0]
    """
    first = sum(node > at for node in nodes) - 1  # the last node above
    first = max(0, min(first, len(nodes) - most))
    near = nodes[first : first + most]
    weights = [math.prod((at - b) / (a - b) for b in near if b != a) for a in near]
    return [0.0] * first + weights + [0.0] * (len(nodes) - first - len(near))


def _within(value: float, kind: Kind) -> float:
    """The nearest value that a number of that kind can have."""
    if kind == "proportion":
        return min(max(value, 0.0), 1.0)
    return max(value, 0.0) if kind == "positive" else value


def curve_of_sets(number: OfSets, sets: Unions, drawn: Drawn) -> SizeCurve:
    """The curve through the levels of `Unions`."""
    influence, count = number.influence.double(), number.influence.shape[1]
    totals = influence.mean(dim=1) if number.totals is None else number.totals
    of_samples = _from_base(sets.level @ influence)
    numbers = _from_base((sets.level @ totals).unsqueeze(-1)).squeeze(-1)
    clusters = None if drawn.clusters is None else drawn.clusters[drawn.positions]
    spread_of = of_samples
    if number.whole is not None:
        numbers[0], clusters = number.whole.mean(), drawn.clusters
        spread_of = _among_all(of_samples, number.whole, drawn.positions)
    covariance, units = samples_covariance(spread_of, clusters)
    left = _from_base(sets.without @ influence)
    return SizeCurve(
        inverse=sets.level @ sets.inverse,
        numbers=numbers,
        samples=covariance,
        units=units,
        without_inverse=sets.without @ sets.inverse,
        without=_from_base((sets.without @ totals).unsqueeze(-1)).squeeze(-1),
        products=torch.einsum("pln,qkn->plqk", left, left) / count**2,
        moved=of_samples.abs().mean(dim=1),
        kind=number.kind,
        nodes=number.nodes,
    )


def _among_all(
    of_samples: Float[Tensor, "numbers drawn"],
    whole: Float[Tensor, " samples"],
    positions: Int[Tensor, " drawn"],
) -> Float[Tensor, "numbers samples"]:
    """Influences among all samples, of which the base has all and the others have some."""
    result = whole.new_zeros(len(of_samples), len(whole))
    centred = of_samples - of_samples.mean(dim=1, keepdim=True)
    result[:, positions] = centred * (len(whole) / len(positions))
    result[0] = whole
    return result


def _from_base(levels: Float[Tensor, "*any levels samples"]) -> Tensor:
    """The last level, then the others minus the last."""
    base = levels[..., -1:, :]
    return torch.cat([base, levels[..., :-1, :] - base], dim=-2)
