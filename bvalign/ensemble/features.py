"""The features that enter a network's last linear layer, for any timm model."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from bvalign.float32 import ieee_float32


class LastLayer(NamedTuple):
    """Input and parameters of the last linear layer of a network."""

    features: Float[Tensor, "samples features"]
    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, " classes"]  # zeros for a layer without


@torch.no_grad()
def last_layer(
    network: nn.Module, input: Num[Tensor, "samples ..."], batch_size: int = 1000
) -> LastLayer:
    """Runs a network in evaluation mode, in IEEE float32, and captures its classifier's input.

    timm's `get_classifier` names that layer. The features need not be `num_features` wide, and some
    networks do not offer `forward_head(pre_logits=True)`, so a hook on the layer captures them.

    Args:
        network: has `get_classifier`, as all timm networks do.
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
    captured: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
    was_training = network.training
    network.eval()
    try:
        with ieee_float32():
            for batch in input.split(batch_size):
                network(batch)
    finally:
        hook.remove()
        network.train(was_training)
    bias = classifier.bias
    bias = torch.zeros(len(classifier.weight)) if bias is None else bias
    return LastLayer(torch.cat(captured), classifier.weight, bias.to(classifier.weight))
