"""The Lightning strategy that gives every rank its own members.

--trainer.strategy=member_parallel    each rank trains other packs; no gradient, weight or
                                      BatchNorm buffer crosses ranks, metrics do
--trainer.strategy=ddp                each rank trains all members of one pack on a part of
                                      every batch; Lightning's own
"""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer


class MemberParallelStrategy(DDPStrategy):
    """One process per device like DDP, but nothing is averaged and nothing is overwritten.

    Ranks stay in step, because Lightning and the live metrics make collective calls; a rank without
    members goes through the same steps. The arguments are those of `DDPStrategy`; `timeout` limits
    the wait for a rank that hangs.
    """

    strategy_name = "member_parallel"

    def configure_ddp(self) -> None:
        """Leaves the module as it is: nothing averages its gradients."""

    def setup(self, trainer: Trainer) -> None:
        """Sets up as DDP does, but does not broadcast the weights of rank zero for a test."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().setup(trainer)
            return
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(self.model)
        self.model_to_device()
        self.setup_precision_plugin()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state on every rank; DDP's own has it on rank zero only."""
        return optimizer.state_dict()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None
    ) -> None:
        """Every rank saves its own members."""
        self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options=storage_options)

    @property
    def distributed_sampler_kwargs(self) -> dict[str, int]:
        """Every rank sees all samples."""
        return {"num_replicas": 1, "rank": 0}


if MemberParallelStrategy.strategy_name not in StrategyRegistry:
    StrategyRegistry.register(
        MemberParallelStrategy.strategy_name,
        MemberParallelStrategy,
        description="every rank trains other members of the ensemble",
    )
