"""PyTorch's global random number generators, which dropout draws from."""

from contextlib import AbstractContextManager

import torch


def forked_generators(device: torch.device) -> AbstractContextManager[None]:
    """Leaves the generators of the CPU and of a device as they were."""
    return torch.random.fork_rng(_with_own(device), device_type=device.type)


def generator_states(device: torch.device) -> list[bytes]:
    """The states of the generators of the CPU and of a device; equal ones have drawn nothing."""
    module = torch.get_device_module(device)
    states = [torch.get_rng_state(), *(module.get_rng_state(own) for own in _with_own(device))]
    return [state.numpy().tobytes() for state in states]


def _with_own(device: torch.device) -> list[torch.device]:
    """The device, if it has a generator of its own; PyTorch cannot name that of MPS."""
    return [] if device.type in ("cpu", "mps") else [device]
