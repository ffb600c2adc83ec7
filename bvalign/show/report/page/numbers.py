"""All numbers of a report that have intervals, by their path in summary.json."""

from collections.abc import Iterator, Mapping

Summary = dict[str, object]


def all_numbers(summary: Summary) -> dict[str, Summary]:
    """Finds the numbers that are not in lists.

    Args:
        summary: as in summary.json.

    >>> e = {"value": 0.5, "interval": None, "interval_samples": None, "reason": "alone"}
    >>> list(all_numbers({"means": {"risk": e, "bias_sq": e}, "schema": 3}))
    ['means.risk', 'means.bias_sq']
    """
    return dict(_numbers(summary, ()))


def _numbers(found: Mapping[str, object], path: tuple[str, ...]) -> Iterator[tuple[str, Summary]]:
    for key, value in found.items():
        if isinstance(value, Mapping):
            if {"value", "interval_samples"} <= value.keys():
                yield ".".join((*path, key)), value
            else:
                yield from _numbers(value, (*path, key))
