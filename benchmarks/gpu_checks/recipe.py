"""The fast recipe of CIFAR-10, small and on noise, with every ingredient of its configuration."""

from pathlib import Path

import numpy as np
from gpu_checks.fits import graphed_or_not
from gpu_checks.outcome import Found, Setting, require
from gpu_checks.runs import fit_here, largest_difference

from bvalign import RunDirectory
from bvalign.data import CIFAR10, Arrays

CONFIG = Path(__file__).parents[2] / "configs" / "cifar10-fast.yaml"
OPTIONS = (
    *(f"--config={CONFIG}", "--data=gpu_checks.recipe.Noise", "--data.batch_size=50"),
    *("--model.arch_args.widths=[8,16,16]", "--model.lr=0.05", "--model.plan=packed"),
    *("--model.members=2", "--model.lookahead=2", "--trainer.benchmark=false"),
)
FLOAT64 = 1e-6
"""Largest difference of a weight after eight steps in float64."""
FEW_STEPS = 1e-3
"""The same after four steps in float32, or TF32."""


class Noise(CIFAR10):
    """Noise in the shape of CIFAR-10, with its options."""

    def has_files(self) -> bool:
        return True

    def load(self) -> Arrays:
        images = np.random.default_rng(0).integers(256, size=(300, 3, 32, 32), dtype=np.uint8)
        target = np.arange(len(images)) % len(self.class_names)
        return Arrays(images[:200], target[:200], images[200:], target[200:])


def recipe(setting: Setting) -> Found:
    """Fits on the device are those on the CPU in float64, and with graphs those without."""
    runs = []
    for name, device in (("here", setting.device), ("cpu", "cpu")):
        root, there = setting.folder / f"recipe-{name}", setting._replace(device=device)
        fit_here(there, root, *OPTIONS, "--trainer.max_epochs=2", "--trainer.precision=64-true")
        runs.append(RunDirectory(root))
    numbers = {"float64": largest_difference(*runs)}
    says = f"weights differ from the CPU's by {numbers['float64']:.1e}"
    require(numbers["float64"] <= FLOAT64, f"{says}, at most {FLOAT64:.0e}", numbers)
    pair = graphed_or_not(setting, "recipe", *OPTIONS, "--trainer.max_epochs=1")
    numbers["graph"] = largest_difference(*pair)
    also = f"with graphs by {numbers['graph']:.1e}"
    require(numbers["graph"] <= FEW_STEPS, f"{also}, at most {FEW_STEPS:.0e}", numbers)
    return Found(f"{says}, {also}", numbers)
