"""An analysis as a pass over its samples, in pieces that any process can compute."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.collect import Range, collect, side_by_side
from bvalign.analysis.given import Given
from bvalign.analysis.pieces import NOWHERE, Pieces
from bvalign.memory import return_freed_memory, zeros_on_disk

PIECE_RANGES = 128
"""Ranges of a piece: a quarter of a GiB of float64 logits."""

MOST_PIECES = 4096
"""Above that number pieces have more ranges instead."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cut:
    """Samples cut into ranges, which a thread computes, and pieces of ranges, which are kept.

    Attributes:
        read: reads a range by its number.
        shape: numbers of members M, samples N and classes K.
        range_size: samples of a range; the last one may have fewer.
        done: told the number of ranges that have just been computed or found.
    """

    read: Callable[[int], Range]
    shape: tuple[int, int, int]
    range_size: int
    done: Callable[[int], object] = field(default=lambda _: None)

    @property
    def num_ranges(self) -> int:
        return -(-self.shape[1] // self.range_size)

    @property
    def num_pieces(self) -> int:
        return -(-self.num_ranges // self._piece_ranges)

    def ranges(self, piece: int) -> range:
        """Numbers of the ranges of a piece."""
        first = piece * self._piece_ranges
        return range(first, min(first + self._piece_ranges, self.num_ranges))

    def start(self, piece: int) -> int:
        """Position of the first sample of a piece."""
        return piece * self._piece_ranges * self.range_size

    def with_some(self, positions: Int[Tensor, " some"]) -> list[int]:
        """Numbers of the ranges that contain any of some positions."""
        return torch.unique(positions // self.range_size).tolist()

    def reading(self, numbers: Iterable[int]) -> Iterator[Range]:
        """Reads ranges one after another."""
        for number in numbers:
            yield self.read(number)
            self.done(1)

    @property
    def _piece_ranges(self) -> int:
        return max(PIECE_RANGES, -(-self.num_ranges // MOST_PIECES))


class Pass(Generic[Result]):
    """The values of all samples piece by piece, and what follows from them.

    Args:
        cut: the samples.
        given: what is known of them beside the logits.
        pieces: where finished pieces are kept.
    """

    kind: type[tuple]  # NamedTuple of the values

    def __init__(self, cut: Cut, given: Given, pieces: Pieces = NOWHERE) -> None:
        self.cut, self.given, self.pieces = cut, given, pieces

    @cached_property
    def places(self) -> dict[str, Int[Tensor, " some"]]:
        """Name of an axis -> positions of its samples."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Reads what the values of every sample depend on."""

    def compute(self, part: Range) -> tuple:
        """Computes the values of a range."""
        raise NotImplementedError

    def finish(self) -> Result:
        """Joins the pieces and summarises them; computes those that are not kept."""
        raise NotImplementedError

    @property
    def num_ranges(self) -> int:
        """Ranges that are read, or found, from `prepare` to `finish`."""
        return self.cut.num_ranges

    def missing(self) -> list[int]:
        """Numbers of the pieces that are not kept yet."""
        return [n for n in range(self.cut.num_pieces) if not self.pieces.has(self._name(n))]

    def piece(self, number: int) -> tuple:
        """Finds the values of a piece, or computes and keeps them."""
        ranges = self.cut.ranges(number)
        return self.kept(
            self._name(number), self.kind, lambda: self._of_ranges(ranges), len(ranges)
        )

    def kept(
        self, name: str, kind: type[tuple], compute: Callable[[], tuple], num_ranges: int
    ) -> tuple:
        """As `Pieces.kept`; ranges behind values that are found are done, too."""
        found = self.pieces.has(name)
        values = self.pieces.kept(name, kind, compute)
        if found:
            self.cut.done(num_ranges)
        return values

    def joined(self) -> tuple:
        """The values of all samples; those of very many lie in files."""
        every = range(self.cut.num_pieces)
        parts = ((self.cut.start(number), self.piece(number)) for number in every)
        if len(every) == 1:
            return next(parts)[1]
        return collect(_released(parts), len(every), self.places, zeros_on_disk)

    def _of_ranges(self, ranges: range) -> tuple:
        """The joined values of successive ranges."""
        self.prepare()  # once, not in several threads
        size, num_samples = self.cut.range_size, self.cut.shape[1]
        ends = torch.tensor([ranges.start * size, min(ranges.stop * size, num_samples)])
        places = {}
        for axis, positions in self.places.items():
            first, last = torch.searchsorted(positions, ends).tolist()
            places[axis] = positions[first:last]
        values = side_by_side(self.compute, self.cut.reading(ranges))
        return collect(values, len(ranges), places)

    def _name(self, number: int) -> str:
        return f"{number:04d}"


def _released(parts: Iterable[tuple[int, tuple]]) -> Iterator[tuple[int, tuple]]:
    """The same, with memory returned after each is joined."""
    for part in parts:
        yield part
        del part
        return_freed_memory()
