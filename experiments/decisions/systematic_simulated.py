"""Simulated samples, members and groups: false discoveries, power, and coverage of intervals.

The logit of the label of sample i for member m is a_i + b_m + c_mg + e_im: the difficulty of the
sample around that of its group g, the skill of the member, the member's way with the group, and
noise. A confusable class has the logit d_i with noise of its own. Where groups are alike, the
difficulties of all have one distribution; c_mg makes them differ for the members at hand alone.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import ndtr

from bvalign.analysis.decompositions import error_kinds
from bvalign.commands.passes import analyze_predictions
from bvalign.decisions.systematic import systematic_or_chance
from bvalign.decisions.systematic.spreads import LeftOut, Samples
from bvalign.decisions.systematic.stand_out import adjusted, against_rest
from bvalign.predictions import Groups, Predictions

SPREAD, SKILL, WAY, NOISE, CONFUSED = 2.0, 0.3, 0.25, 0.7, 0.5
"""Standard deviations of a, b, c, e and d, in nats."""

SETTINGS = (
    # what, members, samples, groups, error rate, samples in a cluster
    ("15% errors, 200 groups of 10 samples", 10, 2000, 200, 0.15, 1),
    ("15% errors, 20 unequal groups", 10, 2000, 20, 0.15, 1),
    ("1% errors, 200 groups of 10 samples", 10, 2000, 200, 0.01, 1),
    ("15% errors, 3 members, 50 groups of 40", 3, 2000, 50, 0.15, 1),
    ("15% errors, 50 groups of 40 in clusters of 4", 10, 2000, 50, 0.15, 4),
)
OTHER = 0.8
"""Where groups differ, one of ten has so much higher an error rate, and one so much lower, as a
fraction of it: the rest of any other group has the error rate of that group."""

CLASSES = 3


def discoveries(draws: int) -> list[dict]:
    """How often groups are named, where all are alike and where some are not."""
    rows, margin_of = [], _margins()
    for number, (what, members, samples, count, error, size) in enumerate(SETTINGS):
        rng = np.random.default_rng(number)
        named = {"any": [], "plain": [], "normal": [], "false": [], "power": []}
        for _ in range(draws):
            groups = _groups(rng, samples, count, size, equal="unequal" not in what)
            for shift in (0.0, OTHER):
                place = np.arange(count) % 10
                sign = (place == 3).astype(int) - (place == 4)
                mean = margin_of(error * (1 + shift * sign))
                logits = _logits(rng, members, mean[groups], groups, size)
                p, normal = _p_values(logits.argmax(-1) != 0, groups, count, size)
                out = adjusted(p) <= 0.05
                if shift:
                    named["false"].append((out & (sign == 0)).sum() / max(out.sum(), 1))
                    named["power"].append(out[sign == 1].mean())
                else:
                    named["any"].append(out.any())
                    named["plain"].append((normal <= 0.05).any())
                    named["normal"].append((adjusted(normal) <= 0.05).any())
        means = {key: float(np.mean(values)) for key, values in named.items()}
        rows.append({"what": what, "draws": draws, **means})
    return rows


def coverage(draws: int) -> list[dict]:
    """How often intervals of groups hold what more samples and other members would give."""
    names = ("error_rate", "risk", "bias_sq", "variance", "variance_share", "systematic", "chance")
    rows = []
    for members in (4, 10):
        rng = np.random.default_rng(members)
        mean = np.array([1.0, 2.5, 4.0])
        truth = _truth(rng, members, mean)
        hits = {(name, g): [] for name in (*names, "systematic_share") for g in range(4)}
        for _ in range(draws):
            groups = rng.choice(3, size=500, p=(0.2, 0.3, 0.5))
            logits = _logits(rng, members, mean[groups], groups, 1)
            found = systematic_or_chance(*_analysed(logits, groups))
            sets = [g.numbers for g in found.groups if g.column == "group"] + [found.numbers]
            for (name, g), held in hits.items():
                low, high = sets[g][name].quoted_interval or (np.nan, np.nan)
                held.append((low <= truth[g][name] <= high, high - low))
        for name in (*names, "systematic_share"):
            of = np.array([hit for g in range(4) for hit in hits[name, g]])
            what = f"{name}, three groups and all samples, {members} members"
            held, width = float(of[:, 0].mean()), float(np.nanmedian(of[:, 1]))
            rows.append({"what": what, "covered": held, "trials": len(of), "width": width})
    return rows


def _margins() -> Callable[[np.ndarray], np.ndarray]:
    """Gives the mean margin of an error rate, from a million samples with a member each."""
    rng = np.random.default_rng(0)
    noise = np.sqrt(SPREAD**2 + SKILL**2 + WAY**2 + NOISE**2) * rng.normal(size=1_000_000)
    confused = np.sqrt(CONFUSED**2 + NOISE**2) * rng.normal(size=1_000_000)
    needed = np.maximum(confused, NOISE * rng.normal(size=1_000_000) - 0.5) - noise
    needed.sort()
    return lambda error: needed[((1 - np.asarray(error)) * len(needed)).astype(int)]


def _logits(
    rng: np.random.Generator, members: int, margin: np.ndarray, groups: np.ndarray, size: int
) -> np.ndarray:
    """Logits (members, samples, classes) of one draw; the label is class 0."""
    samples = len(margin)
    of_cluster = rng.normal(size=-(-samples // size)).repeat(size)[:samples]
    own = rng.normal(size=samples)
    difficulty = own if size == 1 else np.sqrt(0.6) * of_cluster + np.sqrt(0.4) * own
    skill = SKILL * rng.normal(size=(members, 1))
    way = WAY * rng.normal(size=(members, int(groups.max()) + 1))[:, groups]
    label = margin + SPREAD * difficulty + skill + way + NOISE * rng.normal(size=(members, samples))
    confused = CONFUSED * rng.normal(size=samples) + NOISE * rng.normal(size=(members, samples))
    other = NOISE * rng.normal(size=(members, samples)) - 0.5
    return np.stack([label, confused, other], axis=-1)


def _groups(
    rng: np.random.Generator, samples: int, count: int, size: int, *, equal: bool
) -> np.ndarray:
    """Groups of the samples, whole clusters of them."""
    if equal:
        return rng.permutation(np.arange(samples // size) % count).repeat(size)
    share = np.arange(1, count + 1) / np.arange(1, count + 1).sum()
    return rng.choice(count, size=samples, p=share)


def _p_values(
    wrong: np.ndarray, groups: np.ndarray, count: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Those of the test, and of a plain z-test of two proportions."""
    wrong = wrong.astype(float)
    without = (wrong.sum(axis=0) - wrong) / (len(wrong) - 1)
    clusters = None if size == 1 else np.arange(len(groups)) // size
    samples = Samples.of(groups, count, clusters)
    values = wrong.mean(axis=0)
    p = against_rest(samples, values, LeftOut(np.arange(len(groups)), without[None]))
    n, total = np.maximum(samples.sizes, 1), len(values)
    inside = samples.sums(values)
    group, rest = inside / n, (values.sum() - inside) / (total - n)
    variance = values.mean() * (1 - values.mean()) * (1 / n + 1 / (total - n))
    return p, 2 * ndtr(-np.abs(group - rest) / np.sqrt(variance))


def _analysed(logits: np.ndarray, groups: np.ndarray) -> tuple:
    read = torch.from_numpy(logits)
    predictions = Predictions(
        read=lambda start, stop: read[:, start:stop],
        target=np.zeros(len(groups), dtype=np.int64),
        index=np.arange(len(groups)),
        members=tuple(range(len(logits))),
        num_classes=CLASSES,
    )
    return analyze_predictions(predictions), {"group": Groups(tuple("abc"), groups)}


def _truth(rng: np.random.Generator, members: int, mean: np.ndarray) -> list[dict[str, float]]:
    """What is expected of members and samples drawn anew, of each group and of all.

    Each sample of a large set has members of its own, skills included.
    """
    number, sums = 150_000, []
    for margin in mean:
        shape = (members, number)
        difficulty, d = SPREAD * rng.normal(size=number), CONFUSED * rng.normal(size=number)
        spread = np.sqrt(SKILL**2 + WAY**2 + NOISE**2)
        label = margin + difficulty + spread * rng.normal(size=shape)
        others = (d + NOISE * rng.normal(size=shape), NOISE * rng.normal(size=shape) - 0.5)
        logits = torch.from_numpy(np.stack([label, *others], axis=-1))
        sums.append(_expected(logits))
    sums.append({k: float(np.dot((0.2, 0.3, 0.5), [s[k] for s in sums])) for k in sums[0]})
    for row in sums:
        row["variance_share"] = row["variance"] / row["risk"]
        row["systematic_share"] = row["systematic"] / row["ensemble_error"]
    return sums


def _expected(logits: torch.Tensor) -> dict[str, float]:
    probs = logits.softmax(-1)
    residual = probs - torch.tensor([1.0, 0.0, 0.0])
    mean, votes = probs.mean(0), logits.argmax(-1)
    counts = torch.nn.functional.one_hot(votes, CLASSES).sum(0)
    largest, main = counts.max(-1)
    error, correct = (votes != 0).double().mean(0), mean.argmax(-1) == 0
    kinds = error_kinds(correct, main != 0, largest / len(logits), error)
    risk = residual.square().sum(-1).mean()
    bias_sq = (residual[0::2] * residual[1::2]).sum(-1).mean()
    rows = {
        "error_rate": error,
        "ensemble_error": (~correct).double(),
        "systematic": kinds.systematic.double(),
        "chance": kinds.chance.double(),
        "risk": risk,
        "bias_sq": bias_sq,
        "variance": risk - bias_sq,
    }
    return {name: float(row.mean()) for name, row in rows.items()}
