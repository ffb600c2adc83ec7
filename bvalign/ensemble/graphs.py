"""CUDA graphs of training steps that run side by side.

A graph repeats the kernels of one call without Python between them, which is most of the time of a
small step. Steps of different members share nothing that is written, so each has its own graph, and
the graphs are spread over several streams, the lanes:

    current stream ──┬─ lane 0: step 0, step 4, step 0, ... ─┬── current stream
                     └─ lane 1: step 1, step 5, step 1, ... ─┘

Steps of one lane never run at the same time, so their graphs share the memory of one of them.
Capture follows torch.cuda.make_graphed_callables: warm-up and capture on the same stream, with
nothing left over from the warm-up.
"""

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import torch

LANES = 4
"""Most streams; a kernel of a small network fills a part of a GPU."""
WARM_UPS = 3
"""Calls before a capture, as PyTorch advises: libraries are loaded and algorithms are chosen."""


@runtime_checkable
class Step(Protocol):
    """A function on the device that can be called for trial."""

    def __call__(self) -> None: ...

    def unchanged(self) -> AbstractContextManager[None]:
        """Undoes on leaving whatever calls have written."""
        ...


class Lane:
    """A CUDA stream, and the memory of the graphs that run on it.

    Args:
        device: of the steps.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def capture(self, step: Step) -> Callable[[], None]:
        """A function that repeats the kernels of `step`, which has changed nothing so far."""
        with torch.cuda.stream(self.stream):
            warm_up(step)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            step()

        def replay() -> None:
            with torch.cuda.stream(self.stream):
                graph.replay()

        return replay

    def fork(self) -> None:
        """What follows on this lane begins after what the current stream has been given."""
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))

    def join(self) -> None:
        """What follows on the current stream begins after what this lane has been given."""
        torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)


class Plain:
    """The lane of a device without graphs: steps are called one after another."""

    def capture(self, step: Step) -> Callable[[], None]:
        return step

    def fork(self) -> None:
        """Nothing to wait for."""

    def join(self) -> None:
        """Nothing to wait for."""


def warm_up(step: Step) -> None:
    """Calls a step `WARM_UPS` times and leaves no trace of it."""
    for _ in range(WARM_UPS):
        with step.unchanged():
            step()


def lanes(device: torch.device, steps: int) -> list[Lane] | list[Plain]:
    """Lanes for so many steps on a device."""
    if device.type != "cuda":
        return [Plain()]
    return [Lane(device) for _ in range(min(LANES, steps))]


class SideBySide:
    """Makes independent steps at the same time.

    Args:
        steps: each is captured once, and changes nothing by that.
        lanes: streams to spread them over.

    Raises:
        ValueError: a step waits for the device or copies from it, which no graph can.
    """

    def __init__(self, steps: Sequence[Step], lanes: Sequence[Lane] | Sequence[Plain]) -> None:
        self.lanes = lanes
        gc.collect()  # not within a capture, which the end of another graph would disturb
        for lane in lanes:
            lane.fork()
        try:
            self.replays = [lanes[i % len(lanes)].capture(step) for i, step in enumerate(steps)]
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"a training step of this network cannot be captured in a CUDA graph "
                f"({str(error).splitlines()[0]}); --model.graph=off trains without"
            ) from error
        for lane in lanes:
            lane.join()

    def __call__(self, times: int) -> None:
        """Makes every step so many times; the host does not wait for them."""
        for lane in self.lanes:
            lane.fork()
        for _ in range(times):
            for replay in self.replays:
                replay()
        for lane in self.lanes:
            lane.join()
