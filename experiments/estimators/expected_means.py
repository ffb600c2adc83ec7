"""Expected means at a finite number of members, from very many simulated samples.

Every sample has its own ensemble of M members, so that samples are independent, and margins are
spread evenly over their distribution. Definitions are those of docs/summary.md, in plain NumPy;
nothing here is taken from bvalign, which the study is to judge.
"""

import numpy as np
from ensembles import Noise, simulate

BATCHES = 40
NUM_BINS = 15
NUMBERS_AT_ONCE = 2_000_000

Expected = dict[str, tuple[float, float]]
"""Name -> expectation over samples and members, and its standard error."""


def expected_means(noise: Noise, members: int, classes: int, samples: int, seed: int) -> Expected:
    """Expectations of the per-sample statistics of M members.

    Args:
        noise: how members differ.
        members, classes: M, K.
        samples: how many to simulate.
        seed: of the simulation.

    Returns:
        Cross-entropy is left out where a probability was zero. `confidence_error` and
        `confidence_error_squared` are the mean absolute and squared calibration error of the
        ensemble's confidence in bins of equal width, for infinitely many samples.
    """
    rng = np.random.default_rng(seed)
    per_batch = -(-samples // BATCHES)
    step = max(1, NUMBERS_AT_ONCE // (members * classes))
    batches, bins = [], []
    for _ in range(BATCHES):
        uniforms = (np.arange(per_batch) + rng.random(per_batch)) / per_batch
        parts, cells = [], []
        for start in range(0, per_batch, step):
            at = uniforms[start : start + step]
            drawn = simulate(noise, members, len(at), classes, rng, uniforms=at, apart=True)
            values, cell = sample_values(*drawn)
            parts.append({name: value.sum() for name, value in values.items()})
            cells.append(cell)
        batches.append({n: sum(part[n] for part in parts) / per_batch for n in parts[0]})
        bins.append(sum(cells) / per_batch)
    result = {}
    for name in batches[0]:
        column = np.array([batch[name] for batch in batches])
        if np.isfinite(column).all():
            result[name] = (float(column.mean()), float(column.std(ddof=1) / BATCHES**0.5))
    return result | _confidence_errors(np.array(bins))


def sample_values(
    logits: np.ndarray, target: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Statistics of each sample by name, and the sums of each confidence bin.

    Args:
        logits: (members, samples, classes).
        target: labels (samples).

    Returns:
        The values (samples), and of each bin the number of samples and the sum of
        confidence - correct (2, bins).
    """
    members, samples, classes = logits.shape
    place = np.arange(samples)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    probs = np.exp(shifted)
    total = probs.sum(axis=-1, keepdims=True)
    probs /= total
    mean = probs.mean(axis=0)
    squares = np.square(probs).sum(axis=-1).mean(axis=0)
    norm, at_label = np.square(mean).sum(axis=-1), mean[place, target]
    bias_sq, variance = norm - 2 * at_label + 1, squares - norm
    unbiased = variance * members / (members - 1)
    gap, gap_unbiased = bias_sq - variance, bias_sq + variance - 2 * unbiased
    confidence, correct = mean.max(axis=-1), mean.argmax(axis=-1) == target
    bin_of = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    bins = [np.bincount(bin_of, w, NUM_BINS) for w in (np.ones(samples), confidence - correct)]
    values = {
        "bias_sq": bias_sq,
        "variance": variance,
        "risk": bias_sq + variance,
        "bias_sq_unbiased": bias_sq + variance - unbiased,
        "variance_unbiased": unbiased,
        "gap": gap,
        "gap_unbiased": gap_unbiased,
        "uncertainty": 1 - squares,
        "calibration_residual": gap - (1 - squares),
        "calibration_residual_unbiased": gap_unbiased - (1 - squares),
        "accuracy": correct.astype(float),
    }
    values |= _cross_entropy(shifted - np.log(total), target)
    return values | _votes(logits.argmax(axis=-1), target, classes), np.array(bins)


def _cross_entropy(log_probs: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    centre = log_probs.mean(axis=0)
    at_label = centre[np.arange(len(target)), target]
    top = centre.max(axis=-1)
    if not np.isfinite(top).all():
        missing = np.full(len(target), np.nan)
        return {"kl_risk": missing, "kl_bias": missing, "kl_variance": missing}
    log_sum = np.log(np.exp(centre - top[:, None]).sum(axis=-1)) + top
    return {"kl_risk": -at_label, "kl_bias": log_sum - at_label, "kl_variance": -log_sum}


def _votes(votes: np.ndarray, target: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    members, samples = votes.shape
    place = np.arange(samples)
    counts = np.bincount((place * classes + votes).ravel(), minlength=samples * classes)
    counts = counts.reshape(samples, classes)
    main = counts.argmax(axis=-1)
    wrong = 1 - counts[place, target] / members
    bias_01 = (main != target).astype(float)
    return {
        "error_rate": wrong,
        "member_accuracy": 1 - wrong,
        "bias_01": bias_01,
        "variance_01": 1 - counts[place, main] / members,
        "net_variance_01": wrong - bias_01,
        "disagreement": 1 - (counts * (counts - 1)).sum(axis=-1) / (members * (members - 1)),
    }


def _confidence_errors(bins: np.ndarray) -> Expected:
    """Errors of all batches together, with delete-one-batch standard errors.

    Args:
        bins: share of samples and mean of confidence - correct (batches, 2, bins).
    """

    def errors(fraction: np.ndarray, difference: np.ndarray) -> np.ndarray:
        within = difference / np.where(fraction > 0, fraction, 1)
        return np.array([np.abs(difference).sum(), (fraction * within**2).sum()])

    mean, number = bins.mean(axis=0), len(bins)
    left_out = np.array([errors(*(mean + (mean - one) / (number - 1))) for one in bins])
    spread = np.sqrt((number - 1) ** 2 / number * left_out.var(axis=0, ddof=1))
    names = ("confidence_error", "confidence_error_squared")
    pairs = zip(errors(*mean).tolist(), spread.tolist(), strict=True)
    return dict(zip(names, pairs, strict=True))
