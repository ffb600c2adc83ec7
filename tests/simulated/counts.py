"""What happens on simulated devices, counted, and the memory that their tensors hold."""

import itertools
import sys
import weakref
from collections import Counter

import torch
from torch import Tensor

CPU = torch.device("cpu")


class Counts:
    """What has happened on all simulated devices of this process.

    Attributes:
        launches: operation -> times; an optimizer's fused step of all tensors is one.
        waits: "operation, line of code" -> times that the host waited for the device.
        copied: "direction, line of code" -> bytes.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.copied: Counter[str] = Counter()

    def wait(self, what: str) -> None:
        self.waits[f"{what}, {_line()}"] += 1

    def copy(self, source: Tensor, target: torch.device, *, waits: bool) -> None:
        """Counts a copy between devices; one to the host waits in any case: nothing is pinned."""
        if source.device.type == target.type:
            return
        direction = "to host" if target == CPU else "to device"
        self.copied[f"{direction}, {_line()}"] += source.numel() * source.element_size()
        if waits or target == CPU:
            self.wait(direction)


class Memory:
    """The storages of tensors on simulated devices; with a `limit`, more bytes are refused."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self._numbers = itertools.count()
        self._tensors: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()

    def live_bytes(self) -> int:
        storages = [tensor.untyped_storage() for tensor in list(self._tensors.values())]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    def add(self, tensor: Tensor) -> None:
        """Counts a tensor as long as it lives.

        Raises:
            torch.OutOfMemoryError: there are now more bytes than the limit.
        """
        self._tensors[next(self._numbers)] = tensor
        if self.limit is not None and self.live_bytes() > self.limit:
            raise torch.OutOfMemoryError(f"simulated: out of the memory of {self.limit} bytes")


def _line() -> str:
    """The innermost line of this thread that is neither PyTorch's nor the device's own."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("torch.", "tests.simulated.")) and module != "contextlib":
            return f"{module}:{frame.f_lineno}"
        frame = frame.f_back
    return "backward"  # autograd's own thread
