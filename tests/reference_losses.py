"""The definitions as plain loops, one sample at a time; imports nothing of bvalign.

Values of the losses are in mpmath with 60 digits, calibration in Python floats. A sample's logits
are a list of members, each a list of K numbers.
"""

import itertools
import json
from collections import defaultdict

import mpmath
import torch

from tests import VALUES

mp = mpmath.mp.clone()
mp.dps = 60
GOLDEN = json.loads((VALUES / "ensembles.json").read_text())


def ensemble(members, samples, classes, margin, seed):
    """Noisy logits whose class 0 leads by `margin`, and labels of which some are 0."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(members, samples, classes, generator=generator, dtype=torch.float64)
    logits[..., 0] += margin
    return logits, torch.arange(samples) % classes


def softmax(logits):
    exps = [mp.exp(mp.mpf(z)) for z in logits]
    return [e / mp.fsum(exps) for e in exps]


def mean(values):
    values = list(values)
    return mp.fsum(values) / len(values)


def square_distance(p, q):
    return mp.fsum((a - b) ** 2 for a, b in zip(p, q, strict=True))


def one_hot(label, num_classes):
    return [mp.mpf(int(k == label)) for k in range(num_classes)]


def cross_entropy(logits, label):
    """(risk, bias, variance), from the normalised geometric mean q of the members."""
    probs = [softmax(z) for z in logits]
    classes = range(len(probs[0]))
    geometric = [mp.exp(mean(mp.log(p[k]) for p in probs)) for k in classes]
    q = [g / mp.fsum(geometric) for g in geometric]
    kl = [mp.fsum(q[k] * mp.log(q[k] / p[k]) for k in classes) for p in probs]
    return mean(-mp.log(p[label]) for p in probs), -mp.log(q[label]), mean(kl)


def jackknife(values_of, logits, label):
    """M t - (M-1) mean_m t_(-m) of each value."""
    num = len(logits)
    whole = values_of(logits, label)
    parts = [values_of(logits[:m] + logits[m + 1 :], label) for m in range(num)]
    return [num * t - (num - 1) * mean(p[i] for p in parts) for i, t in enumerate(whole)]


def zero_one(votes, label, num_classes):
    """(main, error, bias, variance, net variance), the last as Domingos (2000) states it."""
    share = [mp.mpf(votes.count(k)) / len(votes) for k in range(num_classes)]
    main = max(range(num_classes), key=lambda k: (share[k], -k))
    bias = int(main != label)
    variance = 1 - share[main]
    right_given_other = share[label] / variance if bias and variance else 0
    net = -right_given_other * variance if bias else variance
    return main, 1 - share[label], bias, variance, net


def pairs(items):
    return list(itertools.combinations(items, 2))


def disagreement(votes):
    return mean(mp.mpf(int(a != b)) for a, b in pairs(votes))


def squared_loss(logits, label):
    """(bias_sq, variance, risk, uncertainty) from their definitions."""
    probs = [softmax(z) for z in logits]
    centre = [mean(column) for column in zip(*probs, strict=True)]
    target = one_hot(label, len(centre))
    bias_sq = square_distance(centre, target)
    variance = mean(square_distance(p, centre) for p in probs)
    risk = mean(square_distance(p, target) for p in probs)
    return bias_sq, variance, risk, mean(1 - mp.fsum(x * x for x in p) for p in probs)


def weighted(logits, label, weights):
    """(bias_sq, variance, risk, bias_sq over pairs), members counting with weights."""
    total = mp.fsum(weights)
    share = [mp.mpf(w) / total for w in weights]
    probs = [softmax(z) for z in logits]
    target = one_hot(label, len(probs[0]))
    centre = [
        mp.fsum(s * x for s, x in zip(share, c, strict=True)) for c in zip(*probs, strict=True)
    ]
    variance = mp.fsum(s * square_distance(p, centre) for s, p in zip(share, probs, strict=True))
    risk = mp.fsum(s * square_distance(p, target) for s, p in zip(share, probs, strict=True))
    numerator = denominator = mp.mpf(0)
    for (s, p), (t, q) in pairs(zip(share, probs, strict=True)):
        numerator += (
            s * t * mp.fsum((a - y) * (b - y) for a, b, y in zip(p, q, target, strict=True))
        )
        denominator += s * t
    return square_distance(centre, target), variance, risk, numerator / denominator


def bin_of(value, num_bins):
    return min(int(value * num_bins), num_bins - 1)


def calibration(keys_and_residuals, num_samples):
    """(absolute, squared_debiased, alone) from a list of (cell, residual vector, sample).

    The squared norm of a cell's mean residual is debiased as a mean over pairs of different
    samples, weighted as all pairs of entries of the cell would be.
    """
    cells = defaultdict(list)
    for key, residual, sample in keys_and_residuals:
        cells[key].append((residual, sample))
    absolute = squared = alone = total = 0.0
    for entries in cells.values():
        dims, count = range(len(entries[0][0])), len(entries)
        by_sample = {sample: [0.0] * len(dims) for _, sample in entries}
        absolute += sum(abs(sum(r[k] for r, _ in entries)) for k in dims) / num_samples
        for residual, sample in entries:
            by_sample[sample] = [a + b for a, b in zip(by_sample[sample], residual, strict=True)]
        sums = list(by_sample.values())
        total += count / num_samples
        if len(sums) < 2:
            alone += count / num_samples
            continue
        products = [sum(a * b for a, b in zip(r, s, strict=True)) for r, s in pairs(sums)]
        mean_product = sum(products) / len(products)
        squared += count / num_samples * mean_product * (len(sums) / count) ** 2
    return absolute, squared, alone / total
