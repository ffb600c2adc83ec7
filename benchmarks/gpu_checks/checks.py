"""The checks in order: what each runs, what its failure means, and what to run next."""

from typing import NamedTuple


class Check(NamedTuple):
    """A line of the output."""

    name: str
    run: str  # module:function; it takes a `Setting` and returns `Found`, or raises
    what: str
    limit: int  # seconds; on one H200 most should take a tenth
    means: str  # a failure
    then: str  # the next command
    devices: int = 1  # GPUs that it needs; 0: runs everywhere


RANKS = "python -m pytest -q tests/ensemble/test_ranks.py -k"
CHECKS = (
    Check(
        "environment",
        "gpu_checks.environment:environment",
        "GPUs, driver and versions; a small computation on each GPU",
        60,
        "PyTorch and the driver do not fit, or there is no memory left",
        "python -m torch.utils.collect_env",
        devices=0,
    ),
    Check(
        "parity",
        "gpu_checks.steps:parity",
        "three steps of all plans in float64: the weights of the CPU",
        90,
        "a plan computes something else on this device",
        "python -m pytest -q tests/ensemble/test_plans.py",
    ),
    Check(
        "bf16",
        "gpu_checks.steps:bf16",
        "a step of all plans in bf16: nearly the update of float32",
        60,
        "autocast takes a plan through something that bf16 does not carry",
        "python benchmarks/throughput/run.py --parts gpu",
    ),
    Check(
        "compiled",
        "gpu_checks.steps:compiled",
        "three steps through torch.compile in float64: the weights of the CPU",
        150,
        "Inductor or Triton is missing or wrong; --model.compile=false trains without",
        "TORCH_LOGS=+dynamo python benchmarks/gpu_check.py --only compiled",
    ),
    Check(
        "triton",
        "gpu_checks.steps:triton",
        "steps of plan triton: the update of packed in float64",
        180,
        "a Triton kernel is wrong on this device; --model.plan=packed trains without",
        "TRITON_INTERPRET=1 python -m pytest -q tests/ensemble/test_triton.py",
    ),
    Check(
        "evaluation",
        "gpu_checks.fits:evaluation",
        "logits that a fit has stored: bias_sq of float64",
        90,
        "evaluation rounds its products (TF32, bf16), so bias_sq has few digits",
        "python -m pytest -q tests/ensemble/test_float32.py",
    ),
    Check(
        "syncs",
        "gpu_checks.syncs:syncs",
        "20 training steps of a fit: the host never waits for the GPU",
        90,
        "a line of the loop waits for the GPU at each step; the log has its traceback",
        "BVALIGN_DEBUG=1 python benchmarks/gpu_check.py --only syncs",
    ),
    Check(
        "deterministic",
        "gpu_checks.fits:deterministic",
        "--trainer.deterministic=true twice: bit-equal members",
        120,
        "an operation has no deterministic form, or cuDNN chose another algorithm",
        "python -m pytest -q tests/ensemble/test_deterministic.py",
    ),
    Check(
        "resume",
        "gpu_checks.fits:resume",
        "SIGTERM and the same command again: members bit-equal to the uninterrupted run",
        150,
        "a checkpoint misses a state, or the run did not stop by exit code 75",
        "python -m pytest -q tests/ensemble/test_checkpoints.py",
    ),
    Check(
        "replay",
        "gpu_checks.steps:replay",
        "four whole steps in float64, CUDA graphs on CUDA: the weights of usual steps",
        90,
        "a captured step reads or writes something else; --model.graph=off trains without",
        "python -m pytest -q tests/ensemble/test_steps.py",
    ),
    Check(
        "graph",
        "gpu_checks.fits:graph",
        "--model.graph=auto against off: weights after four steps, accuracies after ten epochs",
        180,
        "replays are not the steps; --model.graph=off trains without",
        "python -m pytest -q tests/ensemble/test_steps.py",
    ),
    Check(
        "recipe",
        "gpu_checks.recipe:recipe",
        "the fast recipe of CIFAR-10, small: the members of the CPU in float64, graphs on and off",
        120,
        "an ingredient (whitening, flips, lookahead, learning rates) is another one on this device",
        "python -m pytest -q tests/simulated",
    ),
    Check(
        "memory",
        "gpu_checks.memory:memory",
        "a pack far too large for the memory: one line, and the memory is free again",
        120,
        "the trial of plans crashes, or keeps the memory of what it tried",
        "python -m pytest -q tests/ensemble/test_steps.py -k memory",
    ),
    Check(
        "ranks",
        "gpu_checks.ranks:odd_members",
        "an odd number of members on two GPUs, one GPU idle at the end: those of one GPU",
        120,
        "a rank without members, or of other size, breaks the run",
        f"{RANKS} ranks",
        devices=2,
    ),
    Check(
        "ddp",
        "gpu_checks.ranks:ddp",
        "--trainer.strategy=ddp on two GPUs: the members of one GPU",
        120,
        "gradients are not averaged over the parts of a batch",
        f"{RANKS} ddp",
        devices=2,
    ),
    Check(
        "killed",
        "gpu_checks.ranks:killed",
        "SIGKILL of one of two ranks: the others end by themselves",
        120,
        "a job with a dead rank goes on holding its GPUs",
        f"{RANKS} dead",
        devices=2,
    ),
    Check(
        "hung",
        "gpu_checks.ranks:hung",
        "SIGSTOP of one of two ranks: it is named and the others end",
        180,
        "a job with a hanging rank goes on holding its GPUs",
        f"{RANKS} hangs",
        devices=2,
    ),
    Check(
        "speed",
        "gpu_checks.speed:speed",
        "a whole fit of 20 ResNet-20 against the usual Lightning loop with 0 and 8 workers",
        300,
        "the plan is not a fast one, or has no graph; the log has the line about it",
        "python benchmarks/throughput/run.py --parts gpu",
    ),
)
"""In order: what is wrong first explains what is wrong later."""
