"""The Lightning strategy that gives every rank its own members.

--trainer.strategy=member_parallel    each rank trains other packs; no gradient, weight or
                                      BatchNorm buffer crosses ranks, metrics do
--trainer.strategy=ddp                each rank trains all members of one pack on a part of
                                      every batch; Lightning's own
"""

from typing import Any

import torch
from lightning.fabric.utilities.distributed import _init_dist_connection
from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer


class MemberParallelStrategy(DDPStrategy):
    """One process per device like DDP, but nothing is averaged and nothing is overwritten.

    Ranks meet to agree on a stop, to save and for the live metrics; a rank without members goes
    through the same steps. Their few messages go by gloo and from host memory, whatever the device:
    NCCL would abort a process that waits too long for another, before it can say for which. The
    arguments are those of `DDPStrategy` but for the backend; `timeout` limits the wait for a rank
    that hangs.
    """

    strategy_name = "member_parallel"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(process_group_backend="gloo", **kwargs)

    def setup_distributed(self) -> None:
        """Joins the ranks as DDP does, but binds their group to no device."""
        reset_seed()
        self.set_world_ranks()
        _init_dist_connection(self.cluster_environment, "gloo", timeout=self._timeout)

    def reduce(self, tensor: Any, group: Any = None, reduce_op: Any = "mean") -> Any:
        """Reduces a tensor over ranks; anything else is returned as it is."""
        if not isinstance(tensor, Tensor):
            return tensor
        return super().reduce(tensor.cpu(), group, reduce_op).to(tensor.device)

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """Whether all ranks, or any, decide so; without a word to the device."""
        votes = int(self.reduce(torch.tensor(int(decision)), reduce_op="sum"))
        return votes == self.world_size if all else votes > 0

    def all_gather(self, tensor: Tensor, group: Any = None, sync_grads: bool = False) -> Tensor:
        """Stacks the tensors of all ranks, which have equal shapes."""
        return super().all_gather(tensor.cpu(), group, sync_grads).to(tensor.device)

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
