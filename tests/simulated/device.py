"""A device for tests, `simulated`: real numbers on the CPU under the rules that CUDA has.

A tensor on it wraps a CPU tensor that computes, so members come out as on the CPU. Simulated are:

    devices         one per process, and which tensors may meet (rules.py)
    counts          of launches, of times that the host waits, of bytes copied (counts.py)
    memory          bytes that live tensors hold, and a limit
    determinism     refusals of operations for which CUDA has no deterministic algorithm
    autocast        a short list of the operations that run in lower precision or in float32

The README beside this file says what is not. `install` registers the device for the whole process,
so what uses it runs in a process of its own; see fit.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from tests.simulated import rules
from tests.simulated.counts import CPU, Counts, Memory

NAME = "simulated"
FACTORIES = (
    "empty.memory_format empty_strided arange arange.start arange.start_step linspace eye eye.m "
    "randperm tril_indices triu_indices"
).split()
"""Operations with a kernel for the device, as PyTorch's own would resize a tensor in place."""
LOWER = "conv1d conv2d linear mm addmm bmm baddbmm matmul scaled_dot_product_attention".split()
FLOAT32 = "log_softmax.int softmax.int nll_loss nll_loss_nd layer_norm group_norm mse_loss".split()
"""Operations that autocast runs in the lower precision, and in float32."""
AUTOCASTS = (torch.float32, torch.bfloat16, torch.float16)
COUNTS, MEMORY = Counts(), Memory()


class Simulated(torch.Tensor):
    """A tensor on a simulated device; `inner` has its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> "Simulated":
        place = {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device=device, **place
        )
        tensor.inner = inner
        MEMORY.add(inner)
        return tensor

    def __repr__(self, **_: Any) -> str:
        COUNTS.wait("repr")
        return f"{NAME}({self.inner!r})"

    def __format__(self, form: str) -> str:
        return format(self.item(), form) if self.dim() == 0 else repr(self)

    def tolist(self) -> Any:
        COUNTS.copy(self, CPU, waits=True)
        return self.inner.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy; use .cpu() first"
        )

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


class Module:
    """`torch.simulated`; random numbers come from the CPU's generator."""

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def set_device(self, device: object) -> None:
        """Does nothing: there is one."""

    def synchronize(self, device: object = None) -> None:
        COUNTS.wait("synchronize")

    def get_rng_state(self, device: object = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: object = None) -> None:
        torch.set_rng_state(state)

    def manual_seed_all(self, seed: int) -> None:
        """Does nothing: the CPU's generator has just been seeded."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def empty_cache(self) -> None:
        """Does nothing: what is free is free."""


MODULE = Module()
_libraries: list[torch.library.Library] = []  # their kernels go when they do


def install() -> None:
    """Registers the device in this process, once; PyTorch 2.10 or newer can do so in Python."""
    kind = torch._C._autograd.DeviceType.PrivateUse1
    answers = dict.fromkeys(("is_available", "is_built", "has_primary_context"), lambda *_: True)
    hooks = type("Hooks", (torch._C._acc.PrivateUse1Hooks,), answers)
    guard = type("Guard", (torch._C._acc.DeviceGuard,), {"type_": lambda _: kind})
    setup = torch.utils.backend_registration._setup_privateuseone_for_python_backend
    setup(NAME, MODULE, hooks(), guard())
    torch.accelerator.synchronize = MODULE.synchronize  # PyTorch's own asks a guard in C++
    library, every = torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL")
    for name in FACTORIES:
        library.impl(name, _factory(_overload(name)), "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    for name in LOWER + FLOAT32:
        kernel = _autocast(_overload(name), None if name in LOWER else torch.float32)
        library.impl(name, kernel, "AutocastPrivateUse1")
    every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _libraries.extend([library, every])


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs an operation on the CPU tensors within; results are on the device of the inputs."""
    if torch.is_inference_mode_enabled():  # without autograd, composite operations come whole
        result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    name = rules.operation(func)
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    device = next(one.device for one in tensors if isinstance(one, Simulated))
    if kwargs.get("device") is not None:
        device = _indexed(kwargs["device"])
        kwargs["device"] = CPU
    if kwargs.get("pin_memory"):
        kwargs["pin_memory"] = False
    if name == "copy_":
        device = args[0].device
        COUNTS.copy(args[1], device, waits=not (args[2:] or [kwargs.get("non_blocking")])[0])
    elif name == "_to_copy":
        COUNTS.copy(args[0], device, waits=not kwargs.get("non_blocking"))
    else:
        rules.refuse(func, args, tensors)
    rules.count(func, args, COUNTS)
    if name == "record_stream":
        return None
    if name == "_has_compatible_shallow_copy_type":  # whether `.data` may be set
        return len({type(one) for one in tensors}) == 1
    result = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    # views of ordinary tensors are ordinary, also in inference mode
    inference = torch.is_inference_mode_enabled() and not (
        rules.is_view(func) and not args[0].is_inference()
    )
    outer = {id(one.inner): one for one in tensors if isinstance(one, Simulated)}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor) or device.type != NAME:
            return value
        same = outer.get(id(value))
        if same is not None and same.shape != value.shape:
            raise NotImplementedError(f"{func} changes a shape in place, which is not simulated")
        if same is None:
            with torch.inference_mode(inference):
                return Simulated(value, device)
        return same

    return tree_map(wrapped, result)


def _factory(function: Any) -> Callable[..., Tensor]:
    """A kernel that makes a tensor on a simulated device."""

    def kernel(*args: Any, device: Any = None, pin_memory: Any = None, **kwargs: Any) -> Tensor:
        rules.count(function, args, COUNTS)
        return Simulated(function(*args, device=CPU, **kwargs), _indexed(device or NAME))

    return kernel


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    """Copies where PyTorch does so below Python: `torch.tensor([1, 2], device=...)`."""
    COUNTS.copy(source, target.device, waits=not non_blocking)
    return _inner(target).copy_(_inner(source))


def _autocast(function: Any, dtype: torch.dtype | None) -> Callable[..., Tensor]:
    """A kernel that casts floating point inputs; None is the dtype that autocast was told."""
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def kernel(*args: Any, **kwargs: Any) -> Tensor:
        to = dtype or torch.get_autocast_dtype(NAME)

        def cast(value: Any) -> Any:
            casts = isinstance(value, Simulated) and value.dtype in AUTOCASTS
            return value.to(to) if casts else value

        with torch._C._ExcludeDispatchKeyGuard(key):
            return function(*tree_map(cast, args), **tree_map(cast, kwargs))

    return kernel


def _overload(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, Simulated) else value


def _indexed(device: torch.device | str) -> torch.device:
    """The device with its index, where it is a simulated one."""
    device = torch.device(device)
    return torch.device(NAME, 0) if device == torch.device(NAME) else device
