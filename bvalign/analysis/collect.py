"""Results of ranges of samples, joined in the order of the ranges.

Each range gives a NamedTuple of tensors, and the axes in the annotation of a field say what becomes
of it: with the axis `samples`, or that of a random subset of them, its entries go to their places;
without one, it is a sum over samples. Whole numbers add up as they come. Other sums are kept part
by part and added in their order at the end, and a range is computed by one thread, so that results
are the same to the last digit for any number of threads. Pieces of many ranges are joined by the
same function, so that they are also the same for any number of processes and restarts.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, NamedTuple, TypeVar, get_origin

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.top_k import TopK


class Range(NamedTuple):
    """Logits and labels of successive samples."""

    start: int  # position of the first sample
    logits: Float[Tensor, "members samples classes"]
    target: Int[Tensor, " samples"] | None
    soft: Float[Tensor, "samples classes"] | None = None  # soft labels, whose argmax is the target
    answers: Int[Tensor, " samples"] | None = None  # behind each of them, where they are few
    top: TopK | None = None  # what is known of the logits, where it is not all of them

    def rows(self, positions: Int[Tensor, " some"]) -> Int[Tensor, " here"]:
        """Those of some ascending positions that lie in this range, counted from its start."""
        ends = torch.tensor([self.start, self.start + self.logits.shape[1]])
        first, last = torch.searchsorted(positions, ends).tolist()
        return positions[first:last] - self.start


Values = TypeVar("Values", bound=tuple)


def draw_positions(num_samples: int, number: int, seed: int = 0) -> Int[Tensor, " some"]:
    """Positions of at most `number` samples drawn at random, ascending; all if there are fewer."""
    if num_samples <= number:
        return torch.arange(num_samples)
    drawn = np.random.default_rng(seed).permutation(num_samples)[:number]
    return torch.from_numpy(np.sort(drawn))


def collect(
    parts: Iterable[tuple[int, Values]],
    num_parts: int,
    places: Mapping[str, Int[Tensor, " some"]],
    new: Callable[[Tensor, Sequence[int]], Tensor] = Tensor.new_zeros,
) -> Values:
    """Joins the results of successive ranges or pieces.

    Args:
        parts: of each, the position of its first sample, and a NamedTuple of tensors, NamedTuples
            or None; a field whose shape has an axis named in `places` goes there, any other one is
            added up.
        num_parts: their number.
        places: name of an axis -> ascending positions of its samples.
        new: makes an array of zeros like a tensor, of another size.
    """
    whole = None
    for number, (start, values) in enumerate(parts):
        if whole is None:
            whole = _zeros(values, num_parts, places, new)
        _add(whole, values, (number, start), places)
        del values  # before the next part is computed
    return _finished(whole, places)


def side_by_side(
    compute: Callable[[Range], Values], ranges: Iterable[Range]
) -> Iterator[tuple[int, Values]]:
    """Yields the first sample and the result of each range, in order.

    As many are computed at a time as torch has threads.
    """
    with one_thread_each() as number, ThreadPoolExecutor(number) as pool:
        waiting = deque()
        for part in ranges:
            waiting.append((part.start, pool.submit(compute, part)))
            if len(waiting) > number:
                start, result = waiting.popleft()
                yield start, result.result()
        for start, result in waiting:
            yield start, result.result()


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Gives every thread one core, and yields how many threads torch would have used.

    Results then do not depend on how torch cuts an operation into threads.
    """
    number = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield number
    finally:
        torch.set_num_threads(number)


def _zeros(
    values: Values, num_parts: int, places: Mapping[str, Tensor], new: Callable[..., Tensor]
) -> Values:
    """Zeros for all samples, or for the sums of all parts."""
    whole = []
    for value, annotation in _annotated(values):
        if isinstance(value, Tensor):
            name, axis = _place(annotation, places)
            size = list(value.shape)
            if name is not None:
                size[axis] = len(places[name])
            elif value.is_floating_point():
                size.insert(0, num_parts)
            whole.append(new(value, size))
        else:
            whole.append(None if value is None else _zeros(value, num_parts, places, new))
    return type(values)(*whole)


def _add(
    whole: Values, values: Values, part: tuple[int, int], places: Mapping[str, Tensor]
) -> None:
    """Copies or adds the results of a part, given by its number and first sample."""
    for array, (value, annotation) in zip(whole, _annotated(values), strict=True):
        if isinstance(value, Tensor):
            name, axis = _place(annotation, places)
            if name is not None:
                start = int(torch.searchsorted(places[name], part[1]))
                array.narrow(axis, start, value.shape[axis]).copy_(value)
            elif value.is_floating_point():
                array[part[0]] = value
            else:
                array += value
        elif value is not None:
            _add(array, value, part, places)


def _finished(whole: Values, places: Mapping[str, Tensor]) -> Values:
    """Adds up the parts."""
    finished = []
    for array, annotation in _annotated(whole):
        if isinstance(array, Tensor):
            summed = array.is_floating_point() and _place(annotation, places)[0] is None
            finished.append(array.sum(dim=0) if summed else array)
        else:
            finished.append(None if array is None else _finished(array, places))
    return type(whole)(*finished)


def _annotated(values: tuple) -> Iterator[tuple[object, object]]:
    """Fields of a NamedTuple, each with its annotation."""
    return zip(values, type(values).__annotations__.values(), strict=True)


def _place(annotation: object, places: Mapping[str, Tensor]) -> tuple[str | None, int]:
    """Name and position, from the end, of the axis in a jaxtyping shape that has a place.

    >>> _place(Float[Tensor, "samples classes"], {"samples": torch.arange(3)})
    ('samples', -2)
    >>> _place(Float[Tensor, " members"], {"samples": torch.arange(3)})
    (None, 0)
    """
    kind = annotation.__origin__ if get_origin(annotation) is Annotated else annotation
    axes = kind.dim_str.split()
    name = next((axis for axis in axes if axis in places), None)
    return name, 0 if name is None else axes.index(name) - len(axes)
