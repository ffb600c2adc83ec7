"""Execution plans by name: how the members of a pack are computed, never what is computed."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Num
from torch import Tensor, nn

from bvalign.ensemble.pack import Pack, Sequential
from bvalign.ensemble.packed import Packed
from bvalign.ensemble.stacked import Vmap
from bvalign.ensemble.triton_conv import Triton

PLANS: dict[str, type[Pack]] = {
    "sequential": Sequential,
    "packed": Packed,
    "vmap": Vmap,
    "triton": Triton,
}


def plans_on(device: torch.device) -> list[str]:
    """Plans that may run on a device: `triton` needs an NVIDIA GPU."""
    return [plan for plan in PLANS if plan != "triton" or device.type == "cuda"]


def make_pack(
    plan: str,
    members: Sequence[int],
    create: Callable[[int], nn.Module],
    image_shape: tuple[int, int, int],
    *,
    compiled: bool = False,
) -> Pack:
    """Packs members' initial networks, once the plan is shown to compute what each does alone.

    Args:
        plan: a key of `PLANS`.
        members: global ids, the order of the leading axis.
        create: the initial network of a member.
        image_shape: (channels, height, width) of one input.
        compiled: train through torch.compile; plan `vmap` cannot.

    Raises:
        ValueError: no such plan, or the network gives other logits under it.
    """
    if plan not in PLANS:
        raise ValueError(f"model.plan must be one of {', '.join(PLANS)}, got '{plan}'")
    if plan != "sequential":
        _check(plan, members[:2], create, image_shape)
    return PLANS[plan](members, create, compiled=compiled)


def random_input(
    network: nn.Module, size: tuple[int, ...], image_shape: tuple[int, int, int]
) -> Num[Tensor, "..."]:
    """Random input for a network, (*size, channels, height, width).

    A network that embeds words takes token ids (*size, length) of images (vocabulary, 1, length).
    """
    generator = torch.Generator().manual_seed(0)
    if any(isinstance(module, nn.Embedding) for module in network.modules()):
        vocabulary, _, length = image_shape
        return torch.randint(vocabulary, (*size, length), generator=generator, device="cpu")
    dtype = next(network.parameters()).dtype
    return torch.randn(*size, *image_shape, generator=generator, dtype=dtype, device="cpu")


def _check(
    plan: str,
    members: Sequence[int],
    create: Callable[[int], nn.Module],
    image_shape: tuple[int, int, int],
) -> None:
    """Compares two members with float64: logits in training and in evaluation, and buffers.

    Plans compute in float64 too, `triton` in float32 on its GPU. Forward code is free to mix the
    channels of a packed image (a softmax, a reshape), so that a network is made of known layers is
    not enough.
    """
    kind, alone = PLANS[plan], Sequential(members, create).double()
    pack = kind(members, create).to(kind.check_device(), kind.check_dtype)
    network = alone.network(members[0])
    input = random_input(network, (len(members), 3), image_shape)
    own = input.to(kind.check_device())
    own = own.to(kind.check_dtype) if own.is_floating_point() else own
    try:
        with torch.random.fork_rng(devices=[]):
            pairs = [(pack.train(m)(own), alone.train(m)(input)) for m in (True, False)]
    except Exception as error:  # foreign forward code may raise anything in another layout
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise _unsupported(plan, network, reason) from error
    for member in members:
        here, there = pack.network_weights(member), alone.network_weights(member)
        pairs += [(here[name], there[name]) for name in there]
    tolerance = kind.check_tolerance
    if not all(a.shape == b.shape and torch.allclose(a.to(b), b, atol=tolerance) for a, b in pairs):
        raise _unsupported(plan, network, "members get other logits than alone")


def _unsupported(plan: str, network: nn.Module, reason: str) -> ValueError:
    return ValueError(
        f"model.plan={plan} cannot run {type(network).__name__} ({reason}); "
        "--model.plan=sequential runs every network"
    )
