"""Several members as one module, each under its global id."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from bvalign.ensemble import networks
from bvalign.ensemble.generators import forked_generators, generator_states


class Slot(NamedTuple):
    """The place of one tensor of one member."""

    tensor: Tensor  # an nn.Parameter or a buffer of the pack
    row: int | None  # index into its leading member axis; None: all of it is this member's

    def read(self) -> Tensor:
        """The member's own part, a view."""
        return self.tensor if self.row is None else self.tensor[self.row]


class Pack(nn.Module, ABC):
    """Members that are trained together, independently of each other.

    Subclasses, the plans, differ in how members are computed and never in what is computed.

    Args:
        members: global ids; the leading axis of inputs and outputs is in this order.
        create: the initial network of a member, see `initial_network`.
        compiled: train through torch.compile; evaluation has other batch sizes and is not compiled.
    """

    check_dtype, check_tolerance = torch.float64, 1e-8  # of the comparison with members alone

    def __init__(
        self,
        members: Sequence[int],
        create: Callable[[int], nn.Module],
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.members, self.create = tuple(members), create
        # a function, not the modules: members share its code, and weights keep their names
        options = {"fallback_random": True}  # the same dropout masks as without compilation
        self.compiled = torch.compile(_run, dynamic=False, options=options) if compiled else None

    @classmethod
    def check_device(cls) -> str:
        """The type of the device on which the plan is compared with members alone."""
        return "cpu"

    @abstractmethod
    def forward(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch classes"]:
        """Logits of each member on its own inputs."""

    @abstractmethod
    def state(self, member: int) -> dict[str, Slot]:
        """Places of one member's parameters and buffers, under the names in its network."""

    @abstractmethod
    def network(self, member: int) -> nn.Module:
        """One member as an ordinary network; a copy where the plan keeps members in one tensor."""

    def parts(self) -> Iterable[tuple[int | None, nn.Module]]:
        """What can be trained by itself: networks with their row, or the pack under None."""
        return [(None, self)]

    def slots(self, member: int) -> dict[str, Slot]:
        """`state` without buffers and what is frozen: what an optimizer keeps a state for."""
        return {k: v for k, v in self.state(member).items() if v.tensor.requires_grad}

    def network_weights(self, member: int) -> dict[str, Tensor]:
        """Views of one member's parameters and buffers, under the names in its network."""
        return {name: slot.read().detach() for name, slot in self.state(member).items()}

    @torch.no_grad()
    def load(self, member: int, weights: Mapping[str, Tensor]) -> None:
        """Copies `weights` into one member; precision and device stay those of the pack.

        Raises:
            ValueError: names or shapes are not those of the member's network.
        """
        here = self.network_weights(member)
        wrong = sorted(here.keys() ^ weights.keys()) or [
            name for name in here if here[name].shape != weights[name].shape
        ]
        if wrong:
            shapes = [tuple(d[wrong[0]].shape) if wrong[0] in d else None for d in (here, weights)]
            raise ValueError(
                f"weights of member {member} must have the names and shapes of its network, but "
                f"{len(wrong)} differ, the first is '{wrong[0]}': {shapes[0]} in the network, "
                f"{shapes[1]} in the weights; were they saved by another architecture?"
            )
        for name, tensor in here.items():
            tensor.copy_(weights[name])

    def _compute(self, network: nn.Module, input: Num[Tensor, "batch ..."]) -> Float[Tensor, "..."]:
        if self.compiled is None or not self.training:
            return _run(network, input)
        try:
            return self.compiled(network, input)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            cause = error.inner_exception
            raise ValueError(
                "model.compile=true needs a C++ compiler on a CPU and Triton on a GPU, but "
                f"torch.compile failed ({type(cause).__name__}: {str(cause).splitlines()[0]}); "
                "--model.compile=false trains without it"
            ) from error


class Sequential(Pack):
    """One network after another: runs every architecture, and is fastest where steps are long.

    Args:
        members: see `Pack`.
        create: see `Pack`.
        compiled: see `Pack`.
    """

    def __init__(
        self,
        members: Sequence[int],
        create: Callable[[int], nn.Module],
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__(members, create, compiled=compiled)
        self.networks = nn.ModuleDict({str(member): create(member) for member in members})
        self.seed: Callable[[int], int] | None = None  # of a member's next pass
        self.draws = True  # until a pass has shown that the networks draw no random numbers
        # convolutions a fifth faster on a CPU in float32 (ResNet-8, 3 x 32 x 32, one Zen 5 core)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch classes"]:
        pairs = list(zip(self.members, input, strict=True))
        if self.seed is None or not (self.training and self.draws):
            return torch.stack([self._compute(self.network(m), batch) for m, batch in pairs])
        logits = []
        with forked_generators(input.device):
            for member, batch in pairs:
                torch.manual_seed(self.seed(member))
                before = generator_states(input.device)
                logits.append(self._compute(self.network(member), batch))
                self.draws = generator_states(input.device) != before
        return torch.stack(logits)

    def state(self, member: int) -> dict[str, Slot]:
        state = self.network(member).state_dict(keep_vars=True)
        return {name: Slot(tensor, None) for name, tensor in state.items()}

    def network(self, member: int) -> nn.Module:
        return self.networks[str(member)]

    def parts(self) -> Iterable[tuple[int | None, nn.Module]]:
        return [(row, self.network(member)) for row, member in enumerate(self.members)]


def _run(network: nn.Module, input: Num[Tensor, "batch ..."]) -> Float[Tensor, "..."]:
    return network(input)


def random_module(network: nn.Module) -> str | None:
    """The first module that draws random numbers in training, such as dropout, or None."""
    for name, module in network.named_modules():
        rates = (getattr(module, rate, 0) for rate in ("p", "drop_prob", "dropout"))
        if any(isinstance(rate, float) and rate > 0 for rate in rates):
            return f"{type(module).__name__} at '{name}'"
    return None


def initial_network(
    seed: int,
    arch: str,
    num_classes: int,
    image_shape: tuple[int, int, int],
    arch_args: dict[str, object],
) -> nn.Module:
    """A fresh network, drawn on the CPU in float32 whatever the device and precision are."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(seed)
            network = networks.create(arch, num_classes, image_shape, **arch_args)
    finally:
        torch.set_default_dtype(dtype)
    return network.to(dtype)
