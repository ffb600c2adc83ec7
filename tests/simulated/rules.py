"""CUDA's rules about operations: which refuse their inputs, and for which the host waits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.simulated.counts import CPU, Counts

WAITS = frozenset(
    "_local_scalar_dense nonzero masked_select _unique2 unique_dim unique_consecutive equal "
    "repeat_interleave bincount histc".split()
)
"""Operations whose result, or its shape, the host must know."""
INDEXED = frozenset("index index_put index_put_ _index_put_impl_".split())
"""Operations that take indices from the host, and wait for them, as for the count of a mask."""
NO_LAUNCH = frozenset(
    "empty empty_strided empty_like new_empty new_empty_strided _unsafe_view record_stream "
    "_has_compatible_shallow_copy_type".split()
)
"""Operations that run nothing on the device, beside views."""
NONDETERMINISTIC = frozenset(
    "_adaptive_avg_pool2d_backward adaptive_max_pool2d_backward avg_pool3d_backward put_ "
    "max_pool3d_with_indices_backward reflection_pad2d_backward replication_pad2d_backward "
    "upsample_bilinear2d_backward upsample_bicubic2d_backward grid_sampler_2d_backward histc "
    "nll_loss2d_forward kthvalue _embedding_bag".split()
)
"""Operations of image and text networks that have no deterministic algorithm."""


def refuse(func: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Refuses inputs on different devices, and what deterministic runs may not do.

    Single numbers of the host are taken by elementwise operations, and indices by all.

    Raises:
        RuntimeError: as PyTorch does on CUDA.
    """
    name = operation(func)
    if name in NONDETERMINISTIC and torch.are_deterministic_algorithms_enabled():
        raise RuntimeError(f"{name} does not have a deterministic implementation")
    single = torch.Tag.pointwise in func.tags or name in INDEXED
    taken = {id(one) for one in tensors if single and one.dim() == 0 and one.device == CPU}
    if name in INDEXED and args[0].device != CPU:
        taken |= {id(index) for index in args[1] if index is not None and index.device == CPU}
    devices = {str(tensor.device) for tensor in tensors if id(tensor) not in taken}
    if len(devices) > 1 and name not in NO_LAUNCH:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {func} got {sorted(devices)}"
        )


def count(func: Any, args: Sequence[Any], counts: Counts) -> None:
    """Counts the launch of an operation that is no copy, and whether the host waits for it."""
    name = operation(func)
    if not (name in NO_LAUNCH or is_view(func)):
        counts.launches[name] += 1
    if name in WAITS or func.namespace == "c10d":  # gloo takes device tensors through the host
        counts.wait(name)
    if name not in INDEXED:
        return
    indices = [index for index in args[1] if index is not None]
    masks = [index for index in indices if index.dtype in (torch.bool, torch.uint8)]
    fills = len(args) > 2 and args[2].numel() == 1 and len(masks) == len(indices)
    if masks and not fills:
        counts.wait("count of a mask")
    for index in indices:
        counts.copy(index, args[0].device, waits=True)


def operation(func: Any) -> str:
    """The name of an operation without namespace and overload."""
    return func._schema.name.split("::")[1]


def is_view(func: Any) -> bool:
    """Whether the results share the memory of the first input."""
    aliases = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)
