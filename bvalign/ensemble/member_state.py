"""A pack's training state cut into one `MemberState` per member, and put together again.

Lightning's checkpoint is one dictionary for everything a rank trains. It is cut into members on the
way to disk, so that another number of ranks or packs can resume: tensors with one row per member
lose that axis, and what members have in common (loops, schedule, optimizer settings) is repeated.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bvalign.ensemble.module import Ensemble
from bvalign.predictions import MemberState

SHARED = ("epoch", "global_step", "pytorch-lightning_version", "loops", "lr_schedulers", "passes")


def check_optimizer(
    optimizers: Sequence[Optimizer], schedulers: Sequence[LRScheduler], module: Ensemble
) -> None:
    """Refuses optimizers and schedules that cannot be cut into members.

    Args:
        optimizers: all optimizers of the pack.
        schedulers: of their learning rates.
        module: holds the pack.

    Raises:
        ValueError: not one optimizer over all parameters in their order, whose groups are those of
            the same names for every member, or settings that cannot be written as JSON.
    """
    optimizer = optimizers[0]
    name = type(optimizer).__name__
    problem = _problem(optimizer, module)
    if len(optimizers) > 1:
        names = ", ".join(type(optimizer).__name__ for optimizer in optimizers)
        problem = f"{len(optimizers)} optimizers: {names}"
    if problem:
        raise ValueError(
            "member checkpoints need one optimizer over all parameters of the pack, each group in "
            f"their order and the same for every member, got {problem}; pass `self.parameters()` "
            "to one optimizer"
        )
    for group in optimizer.param_groups:
        _check_json(name, _settings(group))
    for scheduler in schedulers:
        _check_json(type(scheduler).__name__, scheduler.state_dict())


def _problem(optimizer: Optimizer, module: Ensemble) -> str | None:
    name, names = type(optimizer).__name__, _names(module)
    order = {key: place for place, key in enumerate(names)}
    trained = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    groups = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
    held = [key for group in groups for key in group]
    if missing := len(trained.difference(held)):
        return f"{name} over {len(trained) - missing} of {len(trained)} parameters"
    if any(group != sorted(group, key=order.get) for group in groups):
        return f"{name} over them in another order"
    of_name: dict[str, int] = {}
    for number, group in enumerate(groups):
        for key in group:
            if of_name.setdefault(names[key], number) != number:
                return f"{name} with '{names[key]}' in two parameter groups"
    return None


def check_optimizer_state(optimizer: Optimizer) -> None:
    """Refuses an optimizer whose state, after its first step, cannot be cut into members.

    Raises:
        ValueError: names the first value, other than a step count, that has another shape than its
            parameter.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            shape = value.shape if isinstance(value, Tensor) else None
            counts = key == "step" and shape == ()
            if value is None or counts or shape == parameter.shape:
                continue
            form = f"of shape {tuple(shape)}" if shape is not None else f"({type(value).__name__})"
            raise ValueError(
                f"member checkpoints cannot cut the state of {type(optimizer).__name__}: it keeps "
                f"'{key}' {form} for a parameter of shape {tuple(parameter.shape)}; use an "
                "optimizer that keeps one value per weight, such as SGD or Adam"
            )


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def _names(module: Ensemble) -> dict[int, str]:
    """The name of each parameter in its member's network, by its id, in the order of the module."""
    names = {
        id(slot.tensor): name
        for member in module.members
        for name, slot in module.pack.state(member).items()
    }
    return {id(parameter): names[id(parameter)] for parameter in module.parameters()}


def _check_json(name: str, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise ValueError(
                f"member checkpoints keep the settings of {name} as JSON, but '{key}' is "
                f"{type(value).__name__}; use plain numbers and names"
            ) from error


def cut_out(checkpoint: Mapping[str, Any], module: Ensemble, member: int) -> MemberState:
    """One member's part of Lightning's dictionary."""
    row = module.members.index(member)
    weights = module.pack.network_weights(member)
    tensors = {f"weights/{name}": tensor for name, tensor in weights.items()}
    tensors["loss_sum"] = checkpoint["loss_sum"][row]
    (optimizer,), (stored,) = module.trainer.optimizers, checkpoint["optimizer_states"]
    groups, names = optimizer.param_groups, _names(module)
    place = {id(p): i for i, p in enumerate(p for group in groups for p in group["params"])}
    for name, slot in module.pack.slots(member).items():
        for key, value in stored["state"].get(place[id(slot.tensor)], {}).items():
            if value is not None:
                own = value if slot.row is None or key == "step" else value[slot.row]
                tensors[f"optimizer/{name}/{key}"] = own
    info = {key: checkpoint[key] for key in SHARED}
    info["param_groups"] = [
        {**_settings(group), "params": sorted({names[id(p)] for p in group["params"]})}
        for group in groups
    ]
    info["history"] = checkpoint["callbacks"]["SaveMembers"]["history"].get(member, [])
    return MemberState(tensors, info)


def put_together(
    states: Mapping[int, MemberState], module: Ensemble, shared: Mapping[str, Any]
) -> dict[str, Any]:
    """Lightning's dictionary for a module's members, whose weights are loaded into its pack."""
    for member, state in states.items():
        module.pack.load(member, _named(state.tensors, "weights/"))
    checkpoint = {key: shared[key] for key in SHARED}
    _leave_finished_epoch(checkpoint["loops"]["fit_loop"])
    _count_steps(checkpoint["loops"]["fit_loop"], checkpoint["global_step"])
    checkpoint["state_dict"] = module.state_dict()
    checkpoint["optimizer_states"] = _optimizer_states(states, module, shared)
    sums = [state.tensors["loss_sum"] for state in states.values()]
    checkpoint["loss_sum"] = torch.stack(sums) if sums else torch.zeros(0)
    history = {member: state.info["history"] for member, state in states.items()}
    checkpoint["callbacks"] = {"SaveMembers": {"history": history}}
    return checkpoint


def _leave_finished_epoch(loop: dict[str, Any]) -> None:
    """Counts an epoch as completed whose last batch is done; a checkpoint is saved just before.

    Lightning would do so itself, unless `max_steps` is set: then it takes one more batch for the
    end of that epoch.
    """
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if batches["is_last_batch"] and epochs["current"]["processed"] == epochs["current"]["ready"]:
        for progress in epochs.values():
            progress["completed"] = progress["processed"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False


def _count_steps(loop: dict[str, Any], steps: int) -> None:
    """Counts optimizer steps in both places: Lightning's for one step in a batch, and ours."""
    for progress in (
        loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"],
        loop["epoch_loop.manual_optimization.optim_step_progress"],
    ):
        progress["total"] |= {"ready": steps, "completed": steps}


def _optimizer_states(
    states: Mapping[int, MemberState], module: Ensemble, shared: Mapping[str, Any]
) -> list[dict[str, Any]]:
    names = _names(module)
    if not names:
        return []
    groups = shared.get("param_groups")
    if groups is None:  # of 0.1.0, which knew one group only
        groups = [{**shared["param_group"], "params": list(names.values())}]
    ordered = [[key for key, name in names.items() if name in group["params"]] for group in groups]
    place = {key: i for i, key in enumerate(key for group in ordered for key in group)}
    gathered: dict[int, dict[str, dict[int | None, Tensor]]] = {}
    for member, state in states.items():
        for name, slot in module.pack.slots(member).items():
            of_parameter = gathered.setdefault(id(slot.tensor), {})
            for key, value in _named(state.tensors, f"optimizer/{name}/").items():
                of_parameter.setdefault(key, {})[slot.row] = value
    parameters = {id(parameter): parameter for parameter in module.parameters()}
    state = {
        place[at]: {key: _joined(key, rows, parameters[at]) for key, rows in keys.items()}
        for at, keys in gathered.items()
    }
    numbered = [
        {**group, "params": [place[key] for key in keys]}
        for group, keys in zip(groups, ordered, strict=True)
    ]
    return [{"state": state, "param_groups": numbered}]


def _joined(key: str, rows: Mapping[int | None, Tensor], parameter: Tensor) -> Tensor:
    """One tensor from the rows of all members of a parameter; step counts are the same for all."""
    if key == "step":
        return next(iter(rows.values()))
    joined = rows[None] if None in rows else torch.stack([rows[row] for row in sorted(rows)])
    # fused optimizers follow the order in memory: a lost channels_last would mix up numbers
    return torch.empty_like(parameter, dtype=joined.dtype, device=joined.device).copy_(joined)


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
