"""The features that a network's last linear layer sees, for any timm model."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn


class LastLayer(NamedTuple):
    """Input and parameters of the last linear layer of a network."""

    features: Float[Tensor, "samples features"]
    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, " classes"]  # zeros for a layer without


@torch.no_grad()
def last_layer(
    network: nn.Module, input: Num[Tensor, "samples ..."], batch_size: int = 1000
) -> LastLayer:
    """Runs a network in evaluation mode and catches what enters its classifier.

    `get_classifier` says which layer that is, timm's name for it: the width of the features need
    not be `num_features`, and some networks do not offer `forward_head(pre_logits=True)`.

    Args:
        network: with `get_classifier`, as all of timm's have.
        input: on the device of the network.
        batch_size: samples per forward pass.

    Raises:
        ValueError: the classifier is not one linear layer (two heads, a convolution).
    """
    classifier = network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        raise ValueError(
            f"the classifier must be one linear layer, got {type(classifier).__name__}; features "
            "of networks with several heads or convolutional ones are not defined here"
        )
    caught: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    was_training = network.training
    network.eval()
    try:
        for batch in input.split(batch_size):
            network(batch)
    finally:
        hook.remove()
        network.train(was_training)
    bias = classifier.bias
    bias = torch.zeros(len(classifier.weight)) if bias is None else bias
    return LastLayer(torch.cat(caught), classifier.weight, bias.to(classifier.weight))
