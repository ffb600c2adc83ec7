"""What is found out before a new run directory is made."""

from lightning.pytorch import Trainer

from bvalign.commands.waves import seats
from bvalign.data import EnsembleDataModule
from bvalign.ensemble.epoch_batches import refuse_no_batches
from bvalign.ensemble.fitting import fitting_pack_size
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.probe import refuse_unfit_network
from bvalign.ensemble.without_graph import why_usual_steps


def pack_size_of_new_run(
    model: Ensemble, datamodule: EnsembleDataModule, trainer: Trainer, pack_size: int
) -> int:
    """Members of each pack, once network and data are shown to fit each other and the device.

    Args:
        model: is left without a pack.
        datamodule: after `setup`.
        trainer: as the user has configured it.
        pack_size: members that are wanted.

    Raises:
        ValueError: they do not.
    """
    strategy = trainer.strategy
    visited = model.streams.samples_per_epoch(len(datamodule.arrays.train_target))
    batch = min(datamodule.batch_size, visited)
    part = batch * seats(strategy) // strategy.world_size
    refuse_unfit_network(model, part, strategy.root_device)
    if hasattr(model.initial_network(0), "weights_of_data"):
        datamodule.trainer = trainer  # which names the device
        datamodule.first_inputs(1)
    refuse_no_batches(trainer.limit_train_batches, datamodule.steps_per_epoch(model.streams))
    model.drawn = why_usual_steps(model, datamodule, trainer) is None
    return fitting_pack_size(model, pack_size, part, trainer)
