"""Layers that compute all members at once, and the pack that puts them into an ordinary network.

Images are (batch, members · channels, height, width) and vectors (batch, members · features), each
member's channels side by side; after a linear layer, vectors are (members, batch, features).
Operations that act on every number separately or pool over positions (ReLU, GELU, pooling, flatten,
a residual sum) are correct in these shapes as they are, so the network's own forward code stays and
only layers with weights are replaced. With a leading member axis m on every weight:

    Linear       y[m] = x[m] W[m]ᵀ + b[m]                 one batched product
    Conv2d       y[m] = x[m] * W[m] + b[m]                members · groups groups
    BatchNorm2d  moments over batch and positions         channels are independent anyway
    GroupNorm    members · groups groups
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn import functional

from bvalign.ensemble.stacked import Stacked


class PackedLinear(nn.Linear):
    """Weight (members, out, in), bias (members, out)."""

    def forward(
        self,
        input: Float[Tensor, "members batch features"] | Float[Tensor, "batch member_features"],
    ) -> Float[Tensor, "{len(self.weight)} batch out"]:
        if input.dim() == 2:
            input = input.unflatten(1, (len(self.weight), -1)).transpose(0, 1)
        if self.bias is None:
            return torch.bmm(input, self.weight.mT)
        return torch.baddbmm(self.bias.unsqueeze(1), input, self.weight.mT)


class PackedConv2d(nn.Conv2d):
    """Weight (members, out, in / groups, height, width), bias (members, out)."""

    def forward(
        self, input: Float[Tensor, "batch member_channels height width"]
    ) -> Float[Tensor, "batch out_member_channels out_height out_width"]:
        weight, bias = self.weight.flatten(0, 1), _flat(self.bias)
        groups = len(self.weight) * self.groups
        return functional.conv2d(
            input, weight, bias, self.stride, self.padding, self.dilation, groups
        )


class PackedBatchNorm2d(nn.BatchNorm2d):
    """Weight, bias, running mean and variance (members, channels)."""

    def forward(
        self, input: Float[Tensor, "batch member_channels height width"]
    ) -> Float[Tensor, "batch member_channels height width"]:
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
        return functional.batch_norm(
            input,
            _flat(self.running_mean),
            _flat(self.running_var),
            _flat(self.weight),
            _flat(self.bias),
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )


class PackedGroupNorm(nn.GroupNorm):
    """Weight and bias (members, channels)."""

    def forward(
        self, input: Float[Tensor, "batch member_channels ..."]
    ) -> Float[Tensor, "batch member_channels ..."]:
        groups = len(self.weight) * self.num_groups
        return functional.group_norm(input, groups, _flat(self.weight), _flat(self.bias), self.eps)


PACKED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: PackedLinear,
    nn.Conv2d: PackedConv2d,
    nn.BatchNorm2d: PackedBatchNorm2d,
    nn.GroupNorm: PackedGroupNorm,
}
"""The class that replaces each layer once its tensors are stacked; only `forward` is new."""


class Packed(Stacked):
    """Batched products and grouped convolutions: one kernel for a layer of all members.

    Raises:
        ValueError: a layer with weights has no packed form.
    """

    def __init__(
        self,
        members: Sequence[int],
        create: Callable[[int], nn.Module],
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__(members, create, compiled=compiled)
        for name, module in self.stacked.named_modules():
            if type(module) in PACKED:
                module.__class__ = PACKED[type(module)]
            elif [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
                raise ValueError(
                    f"model.plan=packed runs {', '.join(c.__name__ for c in PACKED)}, got "
                    f"{type(module).__name__} at '{name or 'the root'}'; use --model.plan=vmap or "
                    "sequential"
                )

    def run(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch classes"]:
        logits = self._compute(self.stacked, input.transpose(0, 1).flatten(1, 2))
        if logits.dim() == 3:
            return logits
        return logits.unflatten(1, (len(self.members), -1)).transpose(0, 1)


def _flat(
    tensor: Float[Tensor, "members channels"] | None,
) -> Float[Tensor, " member_channels"] | None:
    """A view, which batch norm updates in place."""
    return None if tensor is None else tensor.view(-1)
