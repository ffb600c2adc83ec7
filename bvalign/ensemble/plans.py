"""The execution plans by name: how the members of a pack are computed, never what."""

from collections.abc import Callable, Sequence

from torch import nn

from bvalign.ensemble.pack import Pack, Sequential

PLANS: dict[str, type[Pack]] = {"sequential": Sequential}


def make_pack(plan: str, members: Sequence[int], create: Callable[[int], nn.Module]) -> Pack:
    """The members' initial networks under a plan.

    Args:
        plan: a key of `PLANS`.
        members: global ids, the order of the leading axis.
        create: the initial network of a member.

    Raises:
        ValueError: no such plan.
    """
    if plan not in PLANS:
        raise ValueError(f"model.plan must be one of {', '.join(PLANS)}, got '{plan}'")
    return PLANS[plan](members, create)
