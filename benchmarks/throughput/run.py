"""Measures the speed of training, statistics and start-up against the limits of the machine.

    python benchmarks/throughput/run.py               # writes results.json, results.md here
    python benchmarks/throughput/run.py --parts statistics commands    # the others stay as they are
    python benchmarks/throughput/run.py --quick --out DIR       # tiny sizes: a check that it runs

Under 20 minutes on two idle cores without a GPU; uses and frees about 4 GB of TMPDIR.

limits       float32 and bf16 products and convolutions, and a copy: the peaks behind "of peak"
training     member-steps per second of every plan, of bf16 where it shortens a step, of
             `sequential` compiled, of a plain PyTorch loop on resident tensors, and of the usual
             Lightning loop (one member, DataLoader, per-sample torchvision transforms, self.log;
             only this loop has the default malloc, the others keep freed memory as `fit` does);
             FLOPs by torch's counter
fits         whole `bvalign fit` commands with the plan that `auto` chose, against both loops;
             fits.py says what is left out
statistics   time and memory of per-sample bias and variance of predictions on disk: passes.py
startup      seconds until each --help answers
commands     a short `fit` with its report, from start to end, against a Lightning script that
             trains as many members one after another and keeps nothing: startup.py
gpu          whole fits of 20 ResNet-20 on CUDA against the usual loop with 0 and 8 workers, and
             what binds them, if there is a GPU: gpu.py; about 6 minutes
recipe       64 members of the fast recipe of CIFAR-10, with a GPU and the images: recipe.py; about
             8 minutes
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import fits
import gpu
import limits
import passes
import recipe
import startup
import tables
import torch
import training
import workloads
from rich.console import Console
from usual import be_quiet

from bvalign.memory import keep_freed_memory
from bvalign.provenance import provenance
from bvalign.show.progress_bar import progress

ROUNDS = {"training": 3, "fits": {"mlp": 3, "cnn": 3, "resnet8": 2, "resnet20": 2}}
PARTS = {
    "limits": 1,
    "training": 5,
    "fits": 9,
    "statistics": 4,
    "startup": 1,
    "commands": 2,
    "gpu": 1,
    "recipe": 1,
}
"""The parts in order, each with its approximate share of the time."""


class Study:
    """Runs the measurements in order, with one progress bar."""

    def __init__(self, *, quick: bool, parts: Sequence[str] = tuple(PARTS)) -> None:
        self.quick, self.parts, self.seconds = quick, parts, {}
        self.workloads = workloads.QUICK if quick else workloads.WORKLOADS
        self.bar = progress(Console(stderr=True))
        self.task = self.bar.add_task("throughput", total=sum(PARTS[name] for name in parts))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times one part and moves the bar by its share."""
        begin, done = time.monotonic(), self.bar.tasks[0].completed
        self.bar.update(self.task, description=name)
        yield
        self.seconds[name] = round(time.monotonic() - begin, 1)
        self.bar.update(self.task, completed=done + PARTS[name])

    def run(self) -> dict[str, object]:
        """The content of results.json."""
        results: dict[str, object] = {"quick": self.quick, "hardware": hardware()}
        with self.bar:
            for name in self.parts:
                with self.part(name):
                    results[name] = getattr(self, f"_{name}")(results)
        return results | {"seconds": self.seconds, "made_with": provenance()}

    def _limits(self, _: dict) -> dict[str, object]:
        threads = sorted({workload.threads for workload in self.workloads.values()})
        return {str(n): limits.limits(n, quick=self.quick) for n in threads}

    def _training(self, results: dict) -> dict[str, object]:
        rounds = 2 if self.quick else ROUNDS["training"]
        seconds = 0.02 if self.quick else training.SECONDS
        rates = {}
        for name, workload in self.workloads.items():
            peaks = results["limits"][str(workload.threads)]
            kind = "matmul" if workload.arch == "mlp" else "convolution"
            peak = {dtype: peaks[f"{kind}_{dtype}"]["best"] for dtype in tables.TYPES}
            tick = self._ticks(name, "training", len(self.workloads) * rounds * 5)
            rates[name] = training.rates(
                workload,
                peak,
                rounds=rounds,
                seconds=seconds,
                compiled=not self.quick,
                tick=tick,
            )
        return rates

    def _fits(self, results: dict) -> dict[str, object]:
        some = list(self.workloads)[:1] if self.quick else list(self.workloads)
        rows = {}
        for name in some:
            rounds = 1 if self.quick else ROUNDS["fits"][name]
            plan = results["training"][name]["auto"]["plan"]
            tick = self._ticks(f"fit of {name}", "fits", len(some) * rounds * 3)
            rows[name] = fits.whole_fits(self.workloads[name], plan, rounds=rounds, tick=tick)
        return rows

    def _statistics(self, _: dict) -> dict[str, object]:
        sizes, growth = (
            (passes.QUICK, passes.QUICK_GROWTH) if self.quick else (passes.SIZES, passes.GROWTH)
        )
        rounds = 1 if self.quick else passes.ROUNDS
        torch.set_num_threads(os.cpu_count())
        tick = self._ticks("statistics", "statistics", 3 * rounds * len(sizes))
        rows: dict[str, object] = {
            name: passes.compare(size, rounds, tick) for name, size in sizes.items()
        }
        return rows | {"growth": [passes.growth(size, rounds) for size in growth]}

    def _startup(self, _: dict) -> dict[str, object]:
        if self.quick:
            return startup.startup(1, startup.COMMANDS[:3])
        return startup.startup(2)

    def _commands(self, _: dict) -> dict[str, object]:
        if self.quick:
            return startup.whole_commands(1, members=2, epochs=1)
        return startup.whole_commands(3, tick=self._ticks("commands", "commands", 16))

    def _gpu(self, _: dict) -> dict[str, object]:
        if self.quick or not torch.cuda.is_available():
            return {"not_measured": "quick" if self.quick else "no GPU"}
        tick = self._ticks("gpu", "gpu", 13)
        return gpu.on_gpu(workloads.gpu_workload(), rounds=2, tick=tick)

    def _recipe(self, _: dict) -> dict[str, object]:
        return {"not_measured": "quick"} if self.quick else recipe.fast_recipe()

    def _ticks(self, name: str, part: str, steps: int) -> Callable[[], None]:
        """A function that moves the bar by one of about `steps` steps of a part."""
        self.bar.update(self.task, description=name)
        return lambda: self.bar.advance(self.task, PARTS[part] / steps)


def updated(stored: dict, results: dict, parts: Sequence[str]) -> dict[str, object]:
    """Puts some parts into stored results; `later` says with what each measurement was made."""
    made = {"hardware": results["hardware"], "made_with": results["made_with"]}
    measured = [name for name in parts if "not_measured" not in results[name]]
    return stored | {
        **{name: results[name] for name in parts},
        "seconds": stored["seconds"] | results["seconds"],
        "later": stored.get("later", {}) | dict.fromkeys(measured, made),
    }


def hardware() -> dict[str, object]:
    """Processor, cores, memory and vector instructions."""
    info = Path("/proc/cpuinfo")
    names = [x for x in info.read_text().splitlines() if "model name" in x] if info.exists() else []
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, a check that it runs; needs --out"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--out", type=Path, help="folder of the results, by default that of this file"
    )
    args = parser.parse_args()
    if args.quick and args.out is None:
        parser.error("--quick needs --out: its numbers mean nothing and replace no results")
    be_quiet()
    keep_freed_memory()
    out = args.out or Path(__file__).parent
    out.mkdir(parents=True, exist_ok=True)
    results = Study(quick=args.quick, parts=args.parts or tuple(PARTS)).run()
    if args.parts:
        results = updated(json.loads((out / "results.json").read_text()), results, args.parts)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "results.md").write_text(tables.markdown(results))
    print(tables.markdown(results))


if __name__ == "__main__":
    main()
