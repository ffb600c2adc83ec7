"""The execution plan `triton`: training steps of our CIFAR ResNets in kernels of our own."""

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bvalign.ensemble.networks import CifarResNet
from bvalign.ensemble.packed import Packed


class Triton(Packed):
    """Trains with convolutions that keep their neighbours' batch norm and ReLU out of memory.

    Factors and activations are of autocast's dtype, or float32: then products are IEEE float32, or
    TF32 where torch allows it in convolutions. Evaluation is that of `packed`, and so are the names
    and shapes of all weights. Digits do not depend on the order in which a GPU runs its programs.

    Raises:
        ValueError: there is no Triton or no GPU for it, or the network is not a CIFAR ResNet.
    """

    check_dtype, check_tolerance = torch.float32, 1e-2  # ten times what TF32 may do

    def __init__(
        self, members: Sequence[int], create: Callable[[int], nn.Module], **options: bool
    ) -> None:
        if missing := _missing():
            raise ValueError(f"model.plan=triton needs {missing}; use --model.plan=packed")
        super().__init__(members, create, **options)
        if type(self.stacked) is not CifarResNet:
            raise ValueError(
                "model.plan=triton runs resnet8_cifar ... resnet110_cifar, got "
                f"{type(self.stacked).__name__}; use --model.plan=packed"
            )

    def run(
        self, input: Float[Tensor, "members batch channels height width"]
    ) -> Float[Tensor, "members batch classes"]:
        if not self.training:
            return super().run(input)
        weight = self.stacked.conv1.weight
        if (weight.dtype, weight.device.type) != (torch.float32, self.check_device()):
            raise ValueError(
                "model.plan=triton trains float32 weights on a GPU (--trainer.precision=bf16-mixed "
                f"or 32-true), got {weight.dtype} on {weight.device}; use --model.plan=packed"
            )
        from bvalign.ensemble.triton_conv.resnet import Arithmetic, features  # imports Triton

        kind = weight.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        found = features(self.stacked, input, Arithmetic(half or torch.float32, _precision()))
        return self.stacked.forward_head(found)

    @classmethod
    def check_device(cls) -> str:
        return "cpu" if _is_interpreted() else "cuda"


def _missing() -> str | None:
    """What this machine lacks for kernels of Triton, or None."""
    if not find_spec("triton"):
        return "the package triton, which torch for CUDA brings"
    if _is_interpreted():
        return None
    if not torch.cuda.is_available():
        return "a GPU, but torch finds none"
    capability = torch.cuda.get_device_capability()
    if capability < (8, 0):
        version = ".".join(map(str, capability))
        return f"a GPU of compute capability 8.0 or more, this one has {version}"
    return None


def _is_interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _precision() -> str:
    """What torch does with float32 factors in convolutions on a GPU: `ieee` or `tf32`."""
    if hasattr(torch.backends, "fp32_precision"):  # 2.9
        return "tf32" if torch.backends.cudnn.conv.fp32_precision == "tf32" else "ieee"
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
