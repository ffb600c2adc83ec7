"""Weights that the training inputs determine, which all members begin with.

A network has such weights if it has a method `weights_of_data(input)`: the entries of its state
dict, by name, from normalised training inputs without augmentation. It is called once per process.
"""

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

NUM_INPUTS = 5000
"""Training inputs that determine the weights: the first ones, or all of a smaller set."""


@torch.no_grad()
def weights_of_data(network: nn.Module, trainer: Trainer) -> dict[str, Tensor]:
    """Those weights, on the CPU; none for a network without the method.

    Raises:
        ValueError: the Trainer has no data module, or one that cannot give the inputs.
    """
    if not hasattr(network, "weights_of_data"):
        return {}
    if trainer.datamodule is None:
        raise ValueError(
            f"{type(network).__name__} begins with weights of the training inputs; give the "
            "Trainer a data module, not data loaders"
        )
    with torch.device("cpu"):
        return network.weights_of_data(trainer.datamodule.first_inputs(NUM_INPUTS))
