"""Single convolutions of many members on a GPU, in every form that a plan could use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from limits import fastest
from torch import nn

LAYERS = ((16, 32), (32, 16), (64, 8))  # channels, height and width of the stages of a ResNet


def graphed(run: Callable[[], object], device: str) -> Callable[[], object]:
    """A CUDA graph of a function; on a CPU the function itself."""
    if device != "cuda":
        return run
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allows or forbids that factors of float32 products are rounded to 19 bits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def layers(members: int, batch: int, device: str, budget: float) -> list[dict[str, object]]:
    """Milliseconds per member of single convolutions: forward, by input (dx), by weight (dw)."""
    rows = []
    for channels, side in LAYERS:
        for precision in ("fp32", "tf32", "bf16"):
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            for form in ("loop", "graphed loop", "grouped NCHW", "grouped NHWC"):
                calls = _convolutions(form, members, batch, channels, side, dtype, device)
                row = {"channels": channels, "side": side, "precision": precision, "form": form}
                with tf32(precision == "tf32"):
                    for name, call in calls.items():
                        run = graphed(call, device) if form == "graphed loop" else call
                        row[name] = 1000 * fastest(run, budget, device) / members
                rows.append(row)
    return rows


def _convolutions(
    form: str, members: int, batch: int, channels: int, side: int, dtype: torch.dtype, device: str
) -> dict[str, Callable[[], None]]:
    groups, times = (members, 1) if form.startswith("grouped") else (1, members)
    layout = torch.channels_last if form == "grouped NHWC" else torch.contiguous_format
    image = torch.randn(batch, groups * channels, side, side, device=device).to(dtype)
    image = image.to(memory_format=layout)
    weight = torch.randn(groups * channels, channels, 3, 3, device=device).to(dtype)
    gradient = torch.randn_like(image)
    options = ([1, 1], [1, 1], [1, 1], False, [0, 0], groups)

    def forward() -> None:
        for _ in range(times):
            nn.functional.conv2d(image, weight, None, 1, 1, 1, groups)

    def backward(mask: list[bool]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(times):
                torch.ops.aten.convolution_backward(gradient, image, weight, None, *options, mask)

        return run

    return {
        "forward": forward,
        "dx": backward([True, False, False]),
        "dw": backward([False, True, False]),
    }
