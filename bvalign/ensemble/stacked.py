"""Members whose weights are stacked in tensors (members, ...), and vmap over them.

A network is stacked by giving every parameter and buffer a leading member axis under its old name;
the module tree, and so the names of the weights, stay those of the ordinary network.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bvalign.ensemble.pack import Pack, Slot, random_module


class Stacked(Pack):
    """A pack that is one network with stacked tensors.

    Raises:
        ValueError: the network draws random numbers while it runs (dropout).
    """

    def __init__(
        self,
        members: Sequence[int],
        create: Callable[[int], nn.Module],
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__(members, create, compiled=compiled)
        networks = [create(member) for member in self.members]
        self._refuse_dropout(networks[0])
        self.stacked = stack(networks)

    @abstractmethod
    def run(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch classes"]:
        """Logits of a batch small enough for the activations of all members to fit into memory."""

    def forward(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch classes"]:
        if self.training:
            return self.run(input)
        # evaluation batches are large: as many samples over all members as one member would take
        parts = input.split(max(1, input.shape[1] // len(self.members)), dim=1)
        return torch.cat([self.run(part) for part in parts], dim=1)

    def state(self, member: int) -> dict[str, Slot]:
        row = self.members.index(member)
        state = self.stacked.state_dict(keep_vars=True)
        return {name: Slot(tensor, row) for name, tensor in state.items()}

    def network(self, member: int) -> nn.Module:
        weights = self.network_weights(member)
        network = self.create(member).to(next(self.parameters()))
        network.load_state_dict(weights)
        return network.train(self.training)

    def _refuse_dropout(self, network: nn.Module) -> None:
        dropout = random_module(network)
        if dropout:
            raise ValueError(
                f"dropout needs --model.plan=sequential, got {dropout}: one mask for all members "
                "would depend on which they are"
            )


def stack(networks: Sequence[nn.Module]) -> nn.Module:
    """The first network, its tensors replaced by those of all networks, (networks, ...) each."""
    trees = zip(*(network.modules() for network in networks), strict=True)
    for module, *others in trees:
        for name, parameter in module.named_parameters(recurse=False):
            rows = torch.stack([parameter, *(getattr(other, name) for other in others)])
            setattr(module, name, nn.Parameter(rows.detach(), parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            rows = torch.stack([buffer, *(getattr(other, name) for other in others)])
            setattr(module, name, rows)
    return networks[0]


class Vmap(Stacked):
    """`torch.func.vmap` over stacked weights: any network, fewer launches, no fused layers."""

    def run(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch classes"]:
        # BatchNorm writes its running statistics in place, through the mapped buffers
        tensors = dict(self.stacked.named_parameters()) | dict(self.stacked.named_buffers())
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no batching rule: a loop
            return torch.func.vmap(self._member)(tensors, input)

    def _member(
        self, tensors: dict[str, Tensor], batch: Num[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch classes"]:
        return torch.func.functional_call(self.stacked, tensors, (batch,))
