"""Which sample was counted too often or too rarely, and for which member."""

from jaxtyping import Int64
from torch import Tensor

REPEATS = (
    "the sampler of a distributed loader repeats samples: use "
    "DataLoader(data, sampler=range(rank, len(data), world_size)), under Lightning "
    "with Trainer(use_distributed_sampler=False)"
)


def check_counts(
    count: Int64[Tensor, " samples"],
    appearances: Int64[Tensor, " ids"],
    seen: dict[int, Tensor] | None,
) -> None:
    """Checks that every sample was counted once for each member; repeats are looked for first.

    Args:
        count: how often each sample was counted, for all members together.
        appearances: the same for each member id, for all samples together; those of updates that
            named no member are missing.
        seen: member id -> the samples it was counted for (samples); None where other ranks have
            seen some.

    Raises:
        ValueError: it was not; the message names a sample, and a member as far as it is known.
    """
    total = len(count)
    if not count.any():
        raise ValueError(f"none of {total} samples was seen; call update before compute")
    ids = appearances.nonzero().flatten()
    named = int(appearances.sum()) == int(count.sum())
    usual = len(ids) if named else int(count.median())
    often, short = (count > usual).nonzero().flatten(), (count < usual).nonzero().flatten()
    above = (appearances > total).nonzero().flatten().tolist()
    if len(often):
        sample, times = int(often[0]), int(count[often[0]])
        what = f"{times} times and most samples {usual}; give update member ids, or"
        if named:  # where a member is above, this sample is repeated for as many or for some only
            sure = above and times - usual >= len(above)
            what = (
                f"twice for member {above[0]};" if sure else f"{times} times for {usual} members;"
            )
        raise ValueError(f"sample {sample} was counted {what} {REPEATS}")
    if above:
        raise ValueError(
            f"member {above[0]} was counted {int(appearances[above[0]])} times for {total} "
            f"samples; {REPEATS}"
        )
    if len(short):
        sample, missing = int(short[0]), usual - int(count[short[0]])
        who = f"{missing} of {usual} members; give update member ids to learn which"
        if named and seen is not None:
            who = f"member {next(member for member, its in seen.items() if not its[sample])}"
        elif named:
            fewer = ", ".join(map(str, ids[appearances[ids] < total].tolist()))
            who = f"{missing} of the members that lack samples: {fewer}"
        raise ValueError(
            f"sample {sample} was not seen by {who}; every sample must be seen by the same "
            f"members, {len(short)} of {total} were seen by fewer"
        )
