"""Analyses of arrays in memory, cut into ranges of any size, and all numbers of a result."""

import dataclasses

import torch

from bvalign.analysis.collect import Range
from bvalign.analysis.given import Given
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.labelled import LabelledPass
from bvalign.analysis.passes import Cut
from bvalign.analysis.pieces import NOWHERE
from bvalign.analysis.unlabelled import UnlabelledPass


def ranges_of(logits, target, size, soft=None, answers=None):
    """Ranges of so many samples, as a list; `target` is None without labels."""
    return [
        Range(
            start,
            logits[:, start : start + size],
            None if target is None else target[start : start + size],
            None if soft is None else soft[start : start + size],
            None if answers is None else answers[start : start + size],
        )
        for start in range(0, logits.shape[1], size)
    ]


def pass_of(logits, target, size=101, *, soft=None, answers=None, pieces=NOWHERE, **given):
    """The pass with labels, or without them where `target` is None; `given` as for `Given`."""
    ranges = ranges_of(logits, target, size, soft, answers)
    kind = UnlabelledPass if target is None else LabelledPass
    cut = Cut(ranges.__getitem__, tuple(logits.shape), size)
    return kind(cut, Given(torch.arange(logits.shape[1]), **given), pieces)


def analysed(logits, target, size=101, **about):
    """The analysis; arguments as for `pass_of`."""
    return pass_of(logits, target, size, **about).finish()


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
