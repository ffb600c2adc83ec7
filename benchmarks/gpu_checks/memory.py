"""A pack that is far too large for the memory of the GPU."""

import gc

import torch
from gpu_checks.outcome import Found, NotHereError, Setting, require
from gpu_checks.runs import fit_here

from bvalign import RunDirectory

MIB = 2**20
ALLOWED = 2048 * MIB
"""Bytes that this process may take: a step of one ResNet-20 at batch 128 takes about 250 MiB."""
KEPT = 256 * MIB
"""Bytes that may stay allocated, such as workspaces of cuBLAS."""
FIT = (
    "--data=workloads.RandomImages --data.batch_size=128 --model.arch=resnet20_cifar "
    "--model.members=32 --model.pack_size=32 --trainer.max_epochs=1"
).split()


def memory(setting: Setting) -> Found:
    """A line says that smaller packs are trained; they are, and all memory is free afterwards."""
    if setting.device == "cpu":
        raise NotHereError("a CPU has no memory of its own")
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, ALLOWED / total))
    root = setting.folder / "memory"
    said = fit_here(setting, root, *FIT)
    gc.collect()
    run, kept = RunDirectory(root), torch.cuda.memory_allocated()
    numbers = {"allowed": ALLOWED, "kept": kept, "peak": torch.cuda.max_memory_allocated()}
    numbers["packs"] = [len(pack) for pack in run.packs]
    lines = [line for line in said.splitlines() if "do not fit into the memory" in line]
    require(bool(lines), f"no line says that 32 members do not fit {ALLOWED // MIB} MiB", numbers)
    finished = len(run.finished()[0])
    require(finished == run.num_members, f"{finished} of 32 members are finished", numbers)
    require(kept <= KEPT, f"{kept // MIB} MiB are still allocated after the fit", numbers)
    says = f"packs of {numbers['packs'][0]}, {kept // MIB} MiB kept"
    return Found(says, numbers | {"line": lines[0]})
