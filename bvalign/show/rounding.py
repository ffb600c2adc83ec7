"""Numbers rounded to what their intervals support, as papers print them."""

import math

from bvalign.analysis.intervals import Estimate

DIGITS, OTHERWISE, MOST = 2, 4, 6
"""Significant digits of half an interval, and of a number without a useful one; most decimals or
zeros before powers of ten."""


def rounded(number: Estimate) -> list[str]:
    """Returns a number and, if it has one, the ends of its interval, all to the same decimal.

    Half the interval keeps DIGITS digits.

    >>> rounded(Estimate(0.98712, (0.96233, 1.01140)))
    ['0.987', '0.962', '1.011']
    >>> rounded(Estimate(0.98712)), rounded(Estimate(None))
    (['0.9871'], [])
    """
    if number.value is None:
        return []
    values = (number.value, *(number.quoted_interval or ()))
    half = (values[-1] - values[1]) / 2 if len(values) > 1 else 0.0
    if not 0 < half < 10**MOST:
        return [f"{value:.{OTHERWISE}g}" for value in values]
    decimals = DIGITS - 1 - math.floor(math.log10(half))
    if decimals > MOST:
        shift = decimals + math.floor(math.log10(max(map(abs, values))))
        return [f"{value:.{shift}e}" for value in values]
    return [f"{round(value, decimals):.{max(decimals, 0)}f}" for value in values]


def quoted(number: Estimate) -> str:
    """Writes a rounded number with its interval, and over what the interval is.

    >>> quoted(Estimate(0.98712, (0.96233, 1.01140)))
    '0.987 (95% CI 0.962 to 1.011)'
    """
    value, *ends = rounded(number) or [f"none ({number.reason})"]
    alone = "" if number.interval else ", over samples alone"
    return f"{value} (95% CI {ends[0]} to {ends[1]}{alone})" if ends else value
