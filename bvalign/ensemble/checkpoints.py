"""Lightning's checkpoints kept by member, so that another number of ranks or packs can go on.

Lightning hands over one dictionary for all that a rank trains. Here it is cut into members on the
way to disk and put together on the way back: tensors that have a row per member lose it, and what
all members share (loops, schedule, optimizer settings) is repeated with each.
"""

import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from bvalign.ensemble.module import Ensemble
from bvalign.predictions import MemberState, RunDirectory
from bvalign.predictions.run.claims import Work

SHARED = ("epoch", "global_step", "pytorch-lightning_version", "loops", "lr_schedulers", "passes")


class MemberCheckpointIO(CheckpointIO):
    """Where Lightning saves to and loads from; the path is the number of optimizer steps.

    Args:
        run: where the members' files lie.
        module: what is trained.
        work: members in training on all ranks; a rank without any takes the loops of the first.
    """

    def __init__(self, run: RunDirectory, module: Ensemble, work: Work) -> None:
        self.run, self.module, self.work = run, module, work

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        for member in self.module.sound_members():
            state = cut_out(checkpoint, self.module, member)
            self.run.member(member).save_checkpoint(int(path), state)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        first = self.run.member(self.work.members[0]).load_checkpoint(int(path))
        states = {m: self.run.member(m).load_checkpoint(int(path)) for m in self.module.members}
        return put_together(states, self.module, first.info)

    def remove_checkpoint(self, path: Any) -> None:
        """Does nothing: a member's folder keeps its last two."""


class CheckpointMembers(Callback):
    """Saves all members in training every so often, and when the run is asked to stop.

    Args:
        seconds: at least this long between two checkpoints.
        every_n_steps: within an epoch, look at the clock after so many batches; at the end of an
            epoch it is always looked at.
    """

    def __init__(self, seconds: float = 60.0, every_n_steps: int = 500) -> None:
        if seconds < 0 or every_n_steps < 1:
            raise ValueError(
                "checkpoints.seconds must be at least 0 and checkpoints.every_n_steps at least 1, "
                f"got {seconds} and {every_n_steps}"
            )
        self.seconds, self.every_n_steps = seconds, every_n_steps
        self.last = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.last = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        if done % self.every_n_steps == 0 and done < trainer.num_training_batches:
            self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self._save_if_due(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Saves where all ranks stop after the same batch."""
        if isinstance(exception, SIGTERMException) and trainer.training:
            trainer.save_checkpoint(str(trainer.global_step))

    def _save_if_due(self, trainer: Trainer) -> None:
        """By the clock of rank zero, so that all ranks save the same step."""
        accumulating = trainer.fit_loop.epoch_loop._should_accumulate()
        if accumulating:
            return
        if trainer.strategy.broadcast(time.monotonic() - self.last >= self.seconds):
            trainer.save_checkpoint(str(trainer.global_step))
            self.last = time.monotonic()


def cut_out(checkpoint: Mapping[str, Any], module: Ensemble, member: int) -> MemberState:
    """One member's part of Lightning's dictionary."""
    row = module.members.index(member)
    tensors = {f"weights/{name}": t for name, t in module.pack.weights(member).items()}
    tensors["loss_sum"] = checkpoint["loss_sum"][row]
    (optimizer,) = checkpoint["optimizer_states"]
    place = {id(parameter): i for i, parameter in enumerate(module.parameters())}
    for name, slot in module.pack.slots(member).items():
        for key, value in optimizer["state"].get(place[id(slot.tensor)], {}).items():
            if value is not None:
                own = value if slot.row is None or key == "step" else value[slot.row]
                tensors[f"optimizer/{name}/{key}"] = own
    (group,) = optimizer["param_groups"]
    info = {key: checkpoint[key] for key in SHARED}
    info["param_group"] = {key: value for key, value in group.items() if key != "params"}
    info["history"] = checkpoint["callbacks"]["SaveMembers"]["history"].get(member, [])
    return MemberState(tensors, info)


def put_together(
    states: Mapping[int, MemberState], module: Ensemble, shared: Mapping[str, Any]
) -> dict[str, Any]:
    """Lightning's dictionary for the members of a module; their weights go into its pack."""
    for member, state in states.items():
        module.pack.load(member, _named(state.tensors, "weights/"))
    checkpoint = {key: shared[key] for key in SHARED}
    checkpoint["state_dict"] = module.state_dict()
    checkpoint["optimizer_states"] = _optimizer_states(states, module, shared["param_group"])
    sums = [state.tensors["loss_sum"] for state in states.values()]
    checkpoint["loss_sum"] = torch.stack(sums) if sums else torch.zeros(0)
    history = {member: state.info["history"] for member, state in states.items()}
    checkpoint["callbacks"] = {"SaveMembers": {"history": history}}
    return checkpoint


def _optimizer_states(
    states: Mapping[int, MemberState], module: Ensemble, group: Mapping[str, Any]
) -> list[dict[str, Any]]:
    parameters = list(module.parameters())
    if not parameters:
        return []
    place = {id(parameter): i for i, parameter in enumerate(parameters)}
    found: dict[int, dict[str, dict[int | None, Tensor]]] = {}
    for member, state in states.items():
        for name, slot in module.pack.slots(member).items():
            of_parameter = found.setdefault(place[id(slot.tensor)], {})
            for key, value in _named(state.tensors, f"optimizer/{name}/").items():
                of_parameter.setdefault(key, {})[slot.row] = value
    state = {
        i: {key: _joined(key, rows, parameters[i]) for key, rows in keys.items()}
        for i, keys in found.items()
    }
    return [{"state": state, "param_groups": [{**group, "params": list(range(len(parameters)))}]}]


def _joined(key: str, rows: Mapping[int | None, Tensor], parameter: Tensor) -> Tensor:
    """Rows of all members of a parameter as one tensor; a count of steps is the same for all."""
    if key == "step":
        return next(iter(rows.values()))
    joined = rows[None] if None in rows else torch.stack([rows[row] for row in sorted(rows)])
    # fused optimizers walk through memory: channels_last must stay so, or numbers are mixed up
    return torch.empty_like(parameter, dtype=joined.dtype, device=joined.device).copy_(joined)


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
