"""Several members as one module, each under its global id."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bvalign.ensemble import networks
from bvalign.randomness import Streams


class Pack(nn.Module):
    """Members that are trained together and know nothing of each other.

    Args:
        members: global ids; the leading axis of inputs and outputs is in this order.
        streams: the stream `init` of each member decides its initial weights.
        arch: see `networks.create`.
        num_classes: K.
        image_shape: (channels, height, width) of one input.
        arch_args: arguments of the network.
    """

    def __init__(
        self,
        members: Sequence[int],
        streams: Streams,
        arch: str,
        num_classes: int,
        image_shape: tuple[int, int, int],
        arch_args: dict[str, object],
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict()
        for member in members:
            self.networks[str(member)] = _initialised(
                streams.torch_seed("init", member), arch, num_classes, image_shape, arch_args
            )

    def forward(self, input: Tensor) -> Tensor:
        """Logits (members, batch, classes) of inputs (members, batch, ...)."""
        pairs = zip(self.networks.values(), input, strict=True)
        return torch.stack([network(batch) for network, batch in pairs])

    def member_weights(self, member: int) -> dict[str, Tensor]:
        """One member's parameters and buffers, under the names its network gives them."""
        return self.networks[str(member)].state_dict()


def _initialised(
    seed: int,
    arch: str,
    num_classes: int,
    image_shape: tuple[int, int, int],
    arch_args: dict[str, object],
) -> nn.Module:
    """The same initial weights whatever the device and precision: drawn on CPU in float32."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(seed)
            network = networks.create(arch, num_classes, image_shape, **arch_args)
    finally:
        torch.set_default_dtype(dtype)
    return network.to(dtype)
