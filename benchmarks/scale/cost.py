"""What large sets cost, on paper: rates that were measured, times what nobody here has."""

from collections.abc import Mapping
from typing import NamedTuple

CORES, DISK = 64, 2e9
"""Assumed: cores of a node, each as quick as one that was measured, and bytes a second that a node
reads and writes."""

NODES = (1, 16, 64)
TARGETS = {
    "ImageNet-1k, 20 × 1.28M × 1,000": (20, 1_280_000, 1000),
    "ImageNet-21k, 20 × 14.2M × 21,841": (20, 14_200_000, 21_841),
}
BYTES = 4
"""Of a logit."""

AFTER = ("join", "fits", "decide", "parquet", "report")


class Cost(NamedTuple):
    """Seconds of each stage; those of disk and processor of the pass go on at the same time."""

    first: float
    disk: float
    processor: float
    pieces: float
    after: float

    @property
    def total(self) -> float:
        return self.first + max(self.disk, self.processor) + self.pieces + self.after


def cost(rows: Mapping[str, dict[str, float]], shape: tuple[int, int, int], nodes: int) -> Cost:
    """Adds up the stages of a set on some nodes, with a process for each core.

    Args:
        rows: measured, by name.
        shape: M, N, K.
        nodes: their number.
    """
    members, samples, classes = shape
    rates, logits = rows[f"rates {classes}"], members * samples * classes
    drawn = (
        members * classes * (rates["drawn"] * rates["first"] + rates["read_first"] * rates["read"])
    )
    work = logits * (rates["read"] + rates["values"])
    piece_bytes = samples * rates["piece_bytes"]
    return Cost(
        first=drawn + members * classes * rates["read_first"] * BYTES / DISK,
        disk=logits * BYTES / (nodes * DISK),
        processor=work / (nodes * CORES * efficiency(rows, classes)),
        pieces=piece_bytes / (nodes * DISK) + piece_bytes / DISK,  # written by all, read by one
        after=after(rows, classes, samples),
    )


def after(rows: Mapping[str, dict[str, float]], classes: int, samples: int) -> float:
    """Seconds of one process after the pass: on the line through the two largest N measured."""
    points = sorted(
        (int(name.split()[2]), sum(row[stage] for stage in AFTER))
        for name, row in rows.items()
        if name.startswith(f"finish {classes} ")
    )
    (low, quicker), (high, slower) = points[-2:]
    return slower + (samples - high) * (slower - quicker) / (high - low)


def efficiency(rows: Mapping[str, dict[str, float]], classes: int) -> float:
    """Speed of two processes on two cores over twice that of one; at most 1."""
    one, two = (rows[f"share {classes}"][way] for way in ("1x1", "2x1"))
    return min(1.0, one / (2 * two))
