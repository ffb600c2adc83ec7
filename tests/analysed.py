"""Analyses of arrays in memory, cut into ranges of any size, and all numbers of a result."""

import dataclasses

import torch

from bvalign.analysis.collect import Range
from bvalign.analysis.given import Given
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.labelled import analyze_blocks
from bvalign.analysis.unlabelled import analyze_unlabelled_blocks


def ranges_of(logits, target, size, soft=None, answers=None):
    """Ranges of so many samples, as a list; `target` is None without labels."""
    return [
        Range(
            number,
            start,
            logits[:, start : start + size],
            None if target is None else target[start : start + size],
            None if soft is None else soft[start : start + size],
            None if answers is None else answers[start : start + size],
        )
        for number, start in enumerate(range(0, logits.shape[1], size))
    ]


def analysed(logits, target, size=101, *, soft=None, answers=None, **given):
    """The analysis with labels, or without them where `target` is None; `given` as for `Given`."""
    ranges = ranges_of(logits, target, size, soft, answers)
    analyze = analyze_unlabelled_blocks if target is None else analyze_blocks
    about = Given(torch.arange(logits.shape[1]), **given)
    return analyze(lambda: iter(ranges), tuple(logits.shape), about, len(ranges))


def estimates(result, path=""):
    """Yields the path and value of every `Estimate` within a result."""
    if isinstance(result, Estimate):
        yield path, result
    elif isinstance(result, dict):
        for key, value in result.items():
            yield from estimates(value, f"{path}.{key}")
    elif dataclasses.is_dataclass(result):
        yield from estimates(vars(result), path)
    elif hasattr(result, "_asdict"):
        yield from estimates(result._asdict(), path)
