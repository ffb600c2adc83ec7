"""Numbers as a reader quotes them: the value, and its 95% confidence interval."""

from bvalign.analysis.intervals import Estimate


def value(number: Estimate, digits: str = ".3g") -> str:
    """The number alone.

    Args:
        number: with or without a value.
        digits: format, such as `.1%`; `points` of a share are hundredths.

    >>> value(Estimate(0.0123), "points"), value(Estimate(-0.5))
    ('1.23 points', '−0.5')
    """
    return "none" if number.value is None else _digits(number.value, digits)


def interval(number: Estimate, digits: str = ".3g", least: float | None = None) -> str:
    """Its interval in words; empty without one.

    Args:
        number: with or without an interval.
        digits: see `value`.
        least: the lowest possible value, for the lower end.

    >>> interval(Estimate(0.5, None, (0.4, 0.6)), ".0%")
    '95% CI 40% to 60%, samples alone'
    """
    ends = number.quoted_interval
    if number.value is None or not ends:
        return ""
    low, high = ends if least is None else (max(ends[0], least), ends[1])
    if digits == "points":
        said = f"{_signed(100 * low, '.2f')} to {_signed(100 * high, '.2f')}"
    else:
        said = f"{_digits(low, digits)} to {_digits(high, digits)}"
    return f"95% CI {said}" + ("" if number.interval else ", samples alone")


def quoted(number: Estimate, digits: str = ".3g", least: float | None = None) -> str:
    """Both; without an interval the reason for that.

    >>> quoted(Estimate(9.9, (9.6, 10.2)), ".1f")
    '9.9 (95% CI 9.6 to 10.2)'
    """
    if number.value is None:
        return f"none ({number.reason})"
    inside = interval(number, digits, least) or f"no interval: {number.reason}"
    return f"{value(number, digits)} ({inside})"


def percent(share: float) -> str:
    """The format of a share: more digits where it is close to none or to all.

    >>> percent(0.25), percent(0.994)
    ('.1%', '.2%')
    """
    return ".1%" if 0.02 <= share <= 0.98 else ".2%"


def may_be_zero(number: Estimate) -> bool:
    """Whether the interval holds zero; without one, nothing is shown to differ from it."""
    ends = number.quoted_interval
    return not ends or ends[0] <= 0 <= ends[1]


def _digits(number: float, digits: str) -> str:
    return (
        f"{_signed(100 * number, '.2f')} points" if digits == "points" else _signed(number, digits)
    )


def _signed(number: float, digits: str) -> str:
    said = f"{number:{digits}}"
    return said.replace("-", "−") if set(said) & set("123456789") else said.removeprefix("-")
