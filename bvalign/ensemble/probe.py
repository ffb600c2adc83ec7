"""One pass of one member before a run starts: can its network take the data?"""

import json

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bvalign.ensemble.deterministic import told_nondeterministic
from bvalign.ensemble.generators import forked_generators
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.plans import random_input
from bvalign.ensemble.views import refuse_views


def refuse_unfit_network(module: Ensemble, batch_size: int, device: torch.device) -> None:
    """Refuses a network that cannot be trained on inputs of the data's shape.

    Args:
        module: its members' network is tried on random input, in training mode.
        batch_size: samples that a network gets at once, of which two are tried.
        device: of the training.

    Raises:
        ValueError: the network fails, or gives something else than logits of the classes; or
            `test_views` of what is no image.
    """
    network = module.initial_network(0).train()
    input = random_input(network, (min(batch_size, 2),), module.image_shape).to(device)
    refuse_views(input, module.test_views)
    try:
        with forked_generators(device), torch.no_grad():
            logits = network.to(device)(input)
    except Exception as error:  # foreign forward code may raise anything
        raise ValueError(_explanation(module, network, len(input), error)) from error
    wanted = (len(input), module.num_classes)
    if tuple(getattr(logits, "shape", ())) != wanted:
        got = tuple(getattr(logits, "shape", ())) or type(logits).__name__
        raise ValueError(
            f"model.arch: '{module.arch}' must give logits (batch, classes) = {wanted}, got {got}"
        )


def _explanation(module: Ensemble, network: nn.Module, batch: int, error: Exception) -> str:
    if told := told_nondeterministic(error):
        return told
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if batch == 1 and any(isinstance(part, _BatchNorm) for part in network.modules()):
        return (
            f"model.arch: '{module.arch}' has BatchNorm, which needs --data.batch_size and "
            f"--data.num_train of at least 2 on each device ({reason})"
        )
    channels, height, width = module.image_shape
    shape = f"{channels} x {height} x {width}"
    told = f"model.arch: '{module.arch}' cannot take inputs of {shape} ({reason})"
    if not hasattr(network, "patch_embed"):
        return told
    size = height if height == width else [height, width]
    side = min(height, width)
    longest = min(16, max(4, side // 8))
    patch = next(p for p in range(longest, 0, -1) if height % p == width % p == 0)
    arguments = json.dumps(module.arch_args | {"img_size": size, "patch_size": patch}, default=str)
    return f"{told}; use '--model.arch_args={arguments}'"
