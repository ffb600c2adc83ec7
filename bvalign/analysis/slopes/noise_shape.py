"""Shape of the noise in the log odds: skewness and kurtosis pooled over samples.

Symbols: L_m is member m's log odds of a wrong answer, log((1 - p_y) / p_y), in nats; mu and sd are
the mean and standard deviation of one sample's L over members. Nobody can estimate the shape of
(L - mu) / sd from the few members of one sample, but all samples together can:

    k-statistics    k_2, k_3, k_4 and an estimate of sd⁴ are unbiased for any M >= 4 (Fisher 1930),
                    so their means over samples are right however few members there are
    pooled shape    skewness = E k_3 / E sd³ and excess kurtosis = E k_4 / E sd⁴ within bands of mu,
                    which weigh alike
    trend           a straight line in mu through the bands, as noise differs with the margin
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

BANDS, SAMPLES_PER_BAND, BANDS_OF_A_LINE = 8, 20, 4

Samples = Float[np.ndarray, " samples"]


class CentralSums(NamedTuple):
    """Sums over the members of powers of L - mu."""

    second: Float[Tensor, "*sets samples"]
    third: Float[Tensor, "*sets samples"]
    fourth: Float[Tensor, "*sets samples"]


class KStatistics(NamedTuple):
    """Unbiased estimates of the cumulants of L, and of the square of its variance; nats^2, 3, 4."""

    second: Samples
    third: Samples
    fourth: Samples
    second_squared: Samples


def k_statistics(second: Samples, third: Samples, fourth: Samples, count: int) -> KStatistics:
    """Unbiased estimates from the central sums of `count` >= 4 members.

    Raises:
        ValueError: there are fewer than four members.
    """
    if count < 4:
        raise ValueError(f"k-statistics of order four need four members, got {count}")
    k2 = second / (count - 1)
    k3 = count * third / ((count - 1) * (count - 2))
    k4 = (count * (count + 1) * fourth - 3 * (count - 1) * second**2) / (
        (count - 1) * (count - 2) * (count - 3)
    )
    return KStatistics(k2, k3, k4, (k2**2 - k4 / count) * (count - 1) / (count + 1))


class PooledShape:
    """Skewness and excess kurtosis of some samples, in bands of mu and as straight lines in mu.

    Columns of all pairs are skewness and excess kurtosis.

    Args:
        mu: mean log odds of each sample, nats.
        k: k-statistics of each sample.

    Attributes:
        bands: samples of each band.
        centres: mean mu of each band.
        of_bands: (bands, 2).
        coefficients: of the lines, (terms, 2): level and slope, with few bands the level alone.
    """

    def __init__(self, mu: Samples, k: KStatistics) -> None:
        number = min(BANDS, max(1, len(mu) // SAMPLES_PER_BAND))
        self.k, self.bands = k, np.array_split(np.argsort(mu, kind="stable"), number)
        self.centres = np.array([mu[band].mean() for band in self.bands])
        second, third, fourth, squared = (
            np.array([values[band].mean() for band in self.bands]) for values in k
        )
        squared = np.maximum(squared, 1e-3 * second**2)
        # E sd³ from E sd² and E sd⁴, as for a log-normal sd within the band
        self._spread = squared > second**2
        cubed = np.where(
            self._spread, np.exp(0.375 * np.log(squared) + 0.75 * np.log(second)), squared**0.75
        )
        self._norms = second, cubed, squared
        self.of_bands = np.stack([third / cubed, fourth / squared], axis=1)
        self.coefficients = np.linalg.pinv(self.basis(self.centres)) @ self.of_bands

    def basis(self, mu: Float[np.ndarray, " points"]) -> Float[np.ndarray, "points terms"]:
        """Terms of the lines at some mean log odds, constant beyond the bands."""
        inside = np.clip(mu, self.centres[0], self.centres[-1])
        terms = 2 if len(self.centres) >= BANDS_OF_A_LINE else 1
        return np.stack([np.ones_like(inside), inside][:terms], axis=1)

    def influence(self, k: KStatistics) -> Float[np.ndarray, "2 samples"]:
        """Influence of each sample: its mean over a band changes as the band's shape does.

        Args:
            k: k-statistics of the same samples, such as those without a group of members.
        """
        result = np.empty((2, len(k.second)))
        for place, band in enumerate(self.bands):
            second, cubed, squared = (norm[place] for norm in self._norms)
            part = KStatistics(*(values[band] for values in k))
            scale = part.second_squared / squared
            of_cubed = 0.75 * scale
            if self._spread[place]:
                of_cubed = 0.375 * scale + 0.75 * part.second / second
            skewness, kurtosis = self.of_bands[place]
            result[0, band] = part.third / cubed - skewness * of_cubed
            result[1, band] = part.fourth / squared - kurtosis * scale
        return result

    def weights(self, gradient: Float[np.ndarray, "terms 2"]) -> Float[np.ndarray, "2 samples"]:
        """What the influence of each sample counts in a number.

        Args:
            gradient: of the number by `coefficients`.
        """
        number = sum(map(len, self.bands))
        by_band, result = np.linalg.pinv(self.basis(self.centres)), np.empty((2, number))
        for place, band in enumerate(self.bands):
            result[:, band] = (gradient.T @ by_band[:, place])[:, None] * number / len(band)
        return result
