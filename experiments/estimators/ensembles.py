"""Simulated ensembles: a `Noise` says how logits vary, `simulate` draws them.

The logit of class k, member m and sample i is

    T_m [ (s_i + shift_m,g(i)) 1(k = c_i) + bias_m,k
          + sigma(s_i) e^(scatter r_i) q_k (sqrt(1 - l_k²) x_m,i,k + l_k f_m,i) ]

s_i is the margin in nats of the class c_i that the sample is of, x is drawn from `distribution` and
everything else that is random from N(0, 1): shift and bias belong to a member, the shift to a group
of samples, f is a factor that classes with a load l_k share. The label is c_i unless it is flipped.
All members are alike in distribution and independent of each other, so what infinitely many would
give is known (`population.py`).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from distributions import DRAW

ROUNDING = 1e-4
"""Probabilities of "rounded" predictions are multiples of it, as in a file with four decimals."""


@dataclass(frozen=True)
class Margins:
    """Distribution of s, in nats: uniform on [low, high], or normal parts cut off there.

    Attributes:
        low, high: smallest and largest margin.
        parts: (share, mean, standard deviation) of each normal part; none for uniform.
    """

    low: float
    high: float
    parts: tuple[tuple[float, float, float], ...] = ()

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Margins at uniform random numbers u; of increasing u, each part comes in turn."""
        if not self.parts:
            return self.low + u * (self.high - self.low)
        u, start = torch.from_numpy(u), 0.0
        margins = torch.empty_like(u)
        for share, mean, sd in self.parts:
            here = (u >= start) & (u <= start + share)
            below, above = self._cut(mean, sd)
            inside = ((u[here] - start) / share).clamp(0, 1) * (above - below) + below
            margins[here] = mean + sd * torch.special.ndtri(inside)
            start += share
        return margins.clamp(self.low, self.high).numpy()

    def density(self, s: np.ndarray) -> np.ndarray:
        """Probability density at s within [low, high], per nat."""
        if not self.parts:
            return np.full_like(s, 1 / (self.high - self.low))
        total = np.zeros_like(s)
        for share, mean, sd in self.parts:
            below, above = self._cut(mean, sd)
            z = (s - mean) / sd
            total += share * np.exp(-z * z / 2) / (sd * np.sqrt(2 * np.pi) * float(above - below))
        return total

    def _cut(self, mean: float, sd: float) -> tuple[torch.Tensor, torch.Tensor]:
        ends = torch.tensor([self.low, self.high], dtype=torch.float64)
        below, above = torch.special.ndtr((ends - mean) / sd)
        return below, above


@dataclass(frozen=True)
class Noise:
    """How the logits of members differ.

    Attributes:
        distribution: of x, in `distributions.DRAW`.
        sigma, growth: the scale of the noise is sigma + growth s, nats.
        margins: distribution of s.
        scatter: standard deviation over samples of the log scale.
        shift: standard deviation over members of a shift of the margins, nats.
        groups: groups of samples that share such a shift.
        temperature: standard deviation over members of log T.
        weak: (share, T) of members whose logits are all smaller by that factor.
        class_bias: standard deviation over members of a class's bias, nats; Gaussian noise only.
        class_scale: q of the first and the last class, geometric in between.
        factor: load of the first half of the classes, 0 to 1; the others have none. Gaussian only.
        flips: share of samples whose label is another class, drawn at random; only with classes
            that are alike and margins above zero.
        seen: what the analysis gets: the "logits"; log probabilities of the "votes"; or of
            probabilities "rounded" to multiples of `ROUNDING`.
    """

    distribution: str = "gaussian"
    sigma: float = 1.0
    growth: float = 0.0
    margins: Margins = field(default_factory=lambda: Margins(4, 16))
    scatter: float = 0.0
    shift: float = 0.0
    groups: int = 1
    temperature: float = 0.0
    weak: tuple[float, float] = (0.0, 1.0)
    class_bias: float = 0.0
    class_scale: tuple[float, float] = (1.0, 1.0)
    factor: float = 0.0
    flips: float = 0.0
    seen: str = "logits"

    def scales(self, num_classes: int) -> np.ndarray:
        """Relative scale q of each class (classes)."""
        return np.geomspace(*self.class_scale, num_classes)

    def loads(self, num_classes: int) -> np.ndarray:
        """Load l of each class (classes)."""
        return np.where(np.arange(num_classes) < num_classes // 2, self.factor, 0.0)


def simulate(
    noise: Noise,
    members: int,
    samples: int,
    classes: int,
    rng: np.random.Generator,
    *,
    uniforms: np.ndarray | None = None,
    apart: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one ensemble on new samples.

    Args:
        noise: how members differ.
        members, samples, classes: M, N, K.
        rng: source of everything random.
        uniforms: where in the distribution of the margins the samples lie (samples), 0 to 1; drawn
            if None.
        apart: whether every sample has members of its own. It changes no expectation, and makes
            samples independent.

    Returns:
        Logits (members, samples, classes), float64, and labels (samples).
    """
    own = samples if apart else 1
    s = noise.margins.quantile(rng.random(samples) if uniforms is None else uniforms)
    scale = (noise.sigma + noise.growth * s) * np.exp(noise.scatter * rng.standard_normal(samples))
    favoured = rng.integers(classes, size=samples)
    logits = DRAW[noise.distribution](rng, (members, samples, classes))
    if noise.factor:
        loads = noise.loads(classes)
        logits *= np.sqrt(1 - loads**2)
        logits += loads * rng.standard_normal((members, samples, 1))
    logits *= scale[:, None] * noise.scales(classes)
    if noise.class_bias:
        logits += noise.class_bias * rng.standard_normal((members, own, classes))
    margins = np.broadcast_to(s, (members, samples))
    if noise.shift:
        group = np.arange(samples) if apart else rng.integers(noise.groups, size=samples)
        shifts = rng.standard_normal((members, samples if apart else noise.groups))
        margins = margins + noise.shift * shifts[:, group]
    logits[:, np.arange(samples), favoured] += margins
    if noise.temperature:
        logits *= np.exp(noise.temperature * rng.standard_normal((members, own, 1)))
    if noise.weak[0]:
        share, factor = noise.weak
        logits *= np.where(rng.random((members, own, 1)) < share, factor, 1.0)
    others = (favoured + rng.integers(1, classes, size=samples)) % classes
    target = np.where(rng.random(samples) < noise.flips, others, favoured)
    return _as_seen(logits, noise.seen), target


def _as_seen(logits: np.ndarray, seen: str) -> np.ndarray:
    """Replaces the logits by log probabilities of votes or of rounded probabilities."""
    if seen == "logits":
        return logits
    if seen == "votes":
        probs = (logits == logits.max(axis=-1, keepdims=True)).astype(float)
    else:
        probs = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probs /= probs.sum(axis=-1, keepdims=True)
        probs = np.round(probs / ROUNDING) * ROUNDING
    return np.log(probs, out=np.full_like(probs, -np.inf), where=probs > 0)
