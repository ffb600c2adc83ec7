"""How many batches of an epoch a Trainer uses."""


def batches_per_epoch(limit: int | float, batches: int) -> int:
    """Counts the batches that are used of an epoch.

    Args:
        limit: the Trainer's `limit_train_batches`: a number of batches, or a part of them.
        batches: of a whole epoch.
    """
    return min(limit, batches) if isinstance(limit, int) else int(limit * batches)


def refuse_no_batches(limit: int | float, batches: int) -> None:
    """Refuses a part of the training batches that is less than one.

    Raises:
        ValueError: says how large the part must be.
    """
    if batches_per_epoch(limit, batches) < 1:
        raise ValueError(
            f"trainer.limit_train_batches={limit} of {batches} batches is not one; use at least "
            f"{1 / batches:.3g}, or 1 for a single batch"
        )
