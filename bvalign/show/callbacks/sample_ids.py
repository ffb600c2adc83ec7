"""Which samples of the data set a loader gives, in its order."""

from collections.abc import Iterable, Sequence
from itertools import count

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
)


def sample_ids(loader: object, world_size: int) -> Iterable[int]:
    """Rows of the data set in the order in which this rank's loader gives them.

    Args:
        loader: of the trainer, so with Lightning's sampler under several ranks.
        world_size: number of ranks.

    Raises:
        ValueError: the order cannot be known, as that of a loader that shuffles.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        if world_size > 1:
            raise ValueError(
                f"rows of {type(loader).__name__} are not known on {world_size} ranks; return the "
                "sample ids as a third value"
            )
        return count()
    batches = getattr(loader.batch_sampler, "_batch_sampler", loader.batch_sampler)  # predict wraps
    sampler = loader.sampler if batches is None else getattr(batches, "sampler", None)
    order = sampler if type(batches) in (BatchSampler, type(None)) else batches
    if isinstance(order, DistributedSampler):  # Lightning's takes what another sampler gives
        order = getattr(order.dataset, "_sampler", range(0))
    if order is batches or not isinstance(order, SequentialSampler | Sequence):
        raise ValueError(
            f"a loader with a {type(order).__name__} orders samples in a way of its own; use "
            "shuffle=False, or return the sample ids as a third value"
        )
    return list(sampler)
