"""Trainer settings that would tie members together."""

from lightning.pytorch import Trainer

from bvalign.ensemble.strategy import MemberParallelStrategy


def refuse_coupling(trainer: Trainer, *, sync_batchnorm: bool) -> None:
    """Checks settings under which members would no longer be independent, or samples be missing.

    Args:
        trainer: as the user wants it.
        sync_batchnorm: its argument of that name, which a Trainer does not show.

    Raises:
        ValueError: naming the setting and what to use instead.
    """
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value":
        raise ValueError(
            "trainer.gradient_clip_val clips by the norm over all members of a pack and so couples "
            "them; use --trainer.gradient_clip_algorithm=value"
        )
    if sync_batchnorm and isinstance(trainer.strategy, MemberParallelStrategy):
        raise ValueError(
            "trainer.sync_batchnorm couples the members of different ranks under member_parallel; "
            "leave it out, or use --trainer.strategy=ddp"
        )
    if trainer.precision == "16-mixed":
        raise ValueError(
            "trainer.precision=16-mixed skips a step of all members where one overflows and so "
            "couples them; use bf16-mixed"
        )
    if trainer.limit_test_batches != 1.0:
        raise ValueError(
            f"trainer.limit_test_batches must be 1.0, got {trainer.limit_test_batches}: every "
            "sample needs all members; use --data.num_test for a smaller test set"
        )
