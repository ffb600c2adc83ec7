"""Which device has float64, that of statistics."""

import torch


def float64_device(device: torch.device) -> torch.device:
    """The device of statistics: that of the training, or the CPU where it has no float64.

    Apple's GPUs (`mps`) have none.
    """
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except TypeError:
        return torch.device("cpu")
    return device
