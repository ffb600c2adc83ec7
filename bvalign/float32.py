"""IEEE float32 in evaluation, whatever training does with its float32.

On an NVIDIA GPU, convolutions round their input to TF32, 10 bits, unless PyTorch is told otherwise,
and so do matrix products after `torch.set_float32_matmul_precision("high")`; "medium" takes
bfloat16 on a CPU. Training bears that; in evaluation, convolutions rounded to TF32 would move
squared biases by 1e-3 of themselves (median; 1e-2 at worst: six ResNet-8 on digits, on a CPU that
rounds likewise).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

BY_OPERATION = hasattr(torch.backends, "fp32_precision")
"""Whether PyTorch has a setting for each operation (2.9), not to be mixed with `allow_tf32`."""
WORDS = {True: "tf32", False: "ieee", "none": "ieee", "highest": "ieee"}


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Computes float32 in float32 on every device; at its end all is set as before."""
    before = _read()
    _write(["ieee"] * len(before) if BY_OPERATION else [False, "highest"])
    try:
        yield
    finally:
        _write(before)


def training_arithmetic(device: torch.device) -> dict[str, object]:
    """How training computes on a device, as PyTorch is set.

    `convolution` and `matmul` are those of float32: `ieee`, `tf32` or `bf16`. `benchmark` says
    whether cuDNN times its algorithms and takes the fastest, `deterministic` is that of the
    Trainer.

    >>> training_arithmetic(torch.device("cpu"))["convolution"]
    'ieee'
    """
    convolution, matmul = _read()[:2]
    if device.type != "cuda":
        convolution, matmul = _read()[2:4] if BY_OPERATION else (False, matmul)
    return {
        "convolution": WORDS.get(convolution, convolution),
        "matmul": WORDS.get(matmul, matmul),
        "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": (False, "warn", True)[torch.get_deterministic_debug_mode()],
    }


def _read() -> list[bool | str]:
    if BY_OPERATION:
        return [operation.fp32_precision for operation in _operations()]
    return [torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()]


def _write(values: Sequence[bool | str]) -> None:
    if BY_OPERATION:
        for operation, value in zip(_operations(), values, strict=True):
            operation.fp32_precision = value
    else:
        torch.backends.cudnn.allow_tf32, matmul = values
        torch.set_float32_matmul_precision(matmul)


def _operations() -> list[object]:
    """Of a GPU, then of a CPU, convolution and matrix product first; then recurrent layers."""
    cudnn, mkldnn = torch.backends.cudnn, torch.backends.mkldnn
    matmul = torch.backends.cuda.matmul
    return [cudnn.conv, matmul, mkldnn.conv, mkldnn.matmul, cudnn.rnn, mkldnn.rnn]
