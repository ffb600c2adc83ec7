"""Whole fits of the product on small data: what they compute, whatever way they compute it."""

import signal

import torch
from gpu_checks.outcome import Found, Setting, require
from gpu_checks.runs import (
    end,
    fit,
    fit_here,
    largest_difference,
    require_bit_equal,
    start,
    wait_for_checkpoint,
)

from bvalign import Ensemble, RunDirectory
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.data import Digits

DIGITS = 1e-4
"""Largest median relative error of bias_sq: 1e-6 in float32, 1.5e-3 with TF32."""
FEW_STEPS = 1e-4
"""Largest difference of a weight after four steps in float32; after more they differ by chance."""
ERRORS, ACCURACY = 5, 0.005
"""How many standard errors, or else how much, mean accuracies may differ."""


def evaluation(setting: Setting) -> Found:
    """The logits that a fit has stored are those of its weights in float64 on a CPU."""
    options = ("--model.arch=resnet8_cifar", "--model.members=3", "--trainer.max_epochs=3")
    run = fit(setting, setting.folder / "evaluation", *options)
    data = Digits(**{"num_train": 100, "num_test": 57} if setting.quick else {})
    data.setup()
    stored, exact = (torch.stack(rows) for rows in _logits(run, data))
    target = torch.from_numpy(data.arrays.test_target)
    here, there = (decompose(moments(logits, target), target) for logits in (stored, exact))
    error = ((here.bias_sq - there.bias_sq) / there.bias_sq).abs()
    numbers = {"median": float(error.median()), "largest": float(error.max())}
    says = f"bias_sq is off by {numbers['median']:.1e} (median), {numbers['largest']:.1e} (largest)"
    require(numbers["median"] <= DIGITS, f"{says}; at most {DIGITS:.0e} in the median", numbers)
    return Found(says, numbers)


def _logits(run: RunDirectory, data: Digits) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Of every member: the stored logits, and those of its weights in float64."""
    members = run.finished()[0]
    module = Ensemble(10, data.image_shape, arch="resnet8_cifar", members=len(members))
    module.configure_model()
    input = data.normalise(torch.from_numpy(data.arrays.test_images)).double()
    exact = []
    for member in members:
        module.pack.load(member, run.member(member).weights())
        network = module.pack.network(member).double().eval()
        with torch.no_grad():
            exact.append(network(input))
    return [run.member(member).logits().double() for member in members], exact


def deterministic(setting: Setting) -> Found:
    """Two deterministic fits do not differ in a bit."""
    runs = [fit(setting, setting.folder / name, *_long(setting)) for name in ("whole", "again")]
    return Found(f"{require_bit_equal(*runs)} members bit-equal")


def resume(setting: Setting) -> Found:
    """A fit that was stopped by SIGTERM and continued ends as one that was not."""
    whole, root = (setting.folder / name for name in ("whole", "stopped"))
    run = RunDirectory(whole) if whole.exists() else fit(setting, whole, *_long(setting))
    process = start(setting, root, *_long(setting))
    wait_for_checkpoint(root, process)
    process.send_signal(signal.SIGTERM)
    said = end(process, root, code=75)
    require("the same command continues" in said, "a stopped fit does not say how to go on")
    with RunDirectory(root).claim() as work:
        step = work.step
    require(step > 0, "a stopped fit has saved nothing")
    members = require_bit_equal(fit(setting, root, *_long(setting)), run)
    return Found(f"stopped at step {step}, {members} members bit-equal", {"step": step})


def _long(setting: Setting) -> tuple[str, ...]:
    """Options of a deterministic fit that is long enough to be stopped."""
    return ("--trainer.deterministic=true", f"--trainer.max_epochs={30 if setting.quick else 100}")


def graph(setting: Setting) -> Found:
    """Fits with graphs are those without: weights after few steps, then accuracies."""
    numbers: dict[str, object] = {}
    few = ("--data.num_train=128", "--data.batch_size=32", "--trainer.max_epochs=1")
    for plan in ("sequential", "packed"):
        options = (*few, f"--model.plan={plan}", "--trainer.deterministic=true")
        numbers[plan] = difference = largest_difference(*graphed_or_not(setting, plan, *options))
        says = f"{plan}: weights differ by {difference:.1e} after four steps"
        require(difference <= FEW_STEPS, f"{says}, at most {FEW_STEPS:.0e}", numbers)
    options = ("--model.members=8", "--model.pack_size=8", "--trainer.max_epochs=10")
    pair = graphed_or_not(setting, "long", *options)
    numbers |= compare_accuracies(*(_accuracies(run) for run in pair))
    worst = max(numbers["sequential"], numbers["packed"])
    accuracy = numbers["accuracy_difference"]
    return Found(f"weights differ by {worst:.1e}, mean accuracies by {accuracy:.4f}", numbers)


def graphed_or_not(setting: Setting, name: str, *options: str) -> tuple[RunDirectory, ...]:
    """A run with graphs and one without, in this process: each fit captures its own."""
    runs = []
    for graph in ("auto", "off"):
        root = setting.folder / f"{name}-{graph}"
        fit_here(setting, root, *options, f"--model.graph={graph}")
        runs.append(RunDirectory(root))
    if setting.device == "cuda":
        used = [run.info["plans"][-1]["graph"] for run in runs]
        require(used[0] == "on" != used[1], f"{name}: graphs were {used[0]} and {used[1]}")
    return tuple(runs)


def compare_accuracies(ours: torch.Tensor, theirs: torch.Tensor) -> dict[str, float]:
    """Mean difference of the members' accuracies, and its standard error.

    Raises:
        CheckError: they differ by more than chance.
    """
    difference = ours - theirs
    mean, error = float(difference.mean()), float(difference.std() / len(difference) ** 0.5)
    numbers = {"accuracy_difference": mean, "accuracy_error": error}
    most = max(ERRORS * error, ACCURACY)
    require(
        abs(mean) <= most, f"mean accuracies differ by {mean:.4f}, by chance {most:.4f}", numbers
    )
    return numbers


def _accuracies(run: RunDirectory) -> torch.Tensor:
    """Accuracy of each member."""
    predictions = run.predictions()
    target = torch.as_tensor(predictions.target)
    members = run.finished()[0]
    votes = torch.stack([run.member(member).logits().argmax(dim=1) for member in members])
    return (votes == target).double().mean(dim=1)
