"""Time and memory of statistics of predictions on disk, each measured in a process of its own.

    python passes.py WAY FOLDER        # started by `measured`; prints one JSON object

nothing       imports torch; memory is counted above that of this process
softmax       float64 probabilities of every block, in the blocks of `statistics`, and nothing else
statistics    the package: opens the folder and keeps squared bias, variance, ... of every sample
naive         loads everything, takes the softmax in float64 and applies the paper's formulas
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

SIZES = {"small": (100, 10_000, 10), "large": (20, 50_000, 1000)}
GROWTH = ((20, 4000, 100), (80, 4000, 100), (20, 16_000, 100), (20, 4000, 400))
QUICK = {"small": (6, 300, 10)}
QUICK_GROWTH = ((3, 50, 4),)
ROUNDS = 2
NAIVE_COPIES = 4  # float64 arrays of the size of the logits that the formulas hold at once


def softmax(folder: Path) -> Callable[[], None]:
    from bvalign import open_predictions

    predictions, _ = open_predictions(folder)
    step, end = predictions.samples_per_range, predictions.num_samples

    def run() -> None:
        for start in range(0, end, step):
            logits = predictions.read(start, min(start + step, end))
            torch.softmax(logits.double(), dim=-1)

    return run


def statistics(folder: Path) -> Callable[[], tuple]:
    from bvalign import open_predictions
    from bvalign.analysis.collect import Range, collect, side_by_side
    from bvalign.analysis.decompositions.squared_loss import decompose, moments

    def run() -> tuple:
        predictions, _ = open_predictions(folder)
        number = predictions.num_ranges
        ranges = (Range(*predictions.range(place)) for place in range(number))
        values = side_by_side(
            lambda part: decompose(moments(part.logits, part.target), part.target), ranges
        )
        return collect(values, number, {"samples": torch.arange(predictions.num_samples)})

    return run


def naive(folder: Path) -> Callable[[], tuple]:
    def run() -> tuple:
        files = sorted(folder.glob("[0-9]*.npy"))
        logits = torch.stack([torch.from_numpy(np.load(file)) for file in files])
        target = torch.from_numpy(np.load(folder / "labels.npy"))
        probs = torch.softmax(logits.double(), dim=-1)
        mean = probs.mean(dim=0)
        one_hot = torch.nn.functional.one_hot(target, logits.shape[-1])
        bias_sq = ((mean - one_hot) ** 2).sum(dim=-1)
        variance = ((probs - mean) ** 2).sum(dim=-1).mean(dim=0)
        return bias_sq, variance

    return run


WAYS = {"softmax": softmax, "statistics": statistics, "naive": naive}


def peak_bytes() -> int:
    """Peak memory of this process; ru_maxrss would start from that of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(way: str, folder: Path) -> dict[str, float]:
    """Seconds and peak bytes of one way, in a new process."""
    command = [sys.executable, __file__, way, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def write(folder: Path, size: tuple[int, int, int]) -> None:
    """Writes a folder of predictions: one float32 file per member, and labels."""
    members, samples, classes = size
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (samples,), generator=generator)
    np.save(folder / "labels.npy", labels.numpy())
    for member in range(members):
        logits = 2 * torch.randn(samples, classes, generator=generator)
        logits[torch.arange(samples), labels] += 6
        np.save(folder / f"{member:04d}.npy", logits.numpy())


@contextmanager
def on_disk(size: tuple[int, int, int]) -> Iterator[Path | None]:
    """A temporary folder of predictions; None if the disk has no room for them."""
    folder = Path(tempfile.mkdtemp(prefix="bvalign-throughput-"))
    try:
        if shutil.disk_usage(folder).free < 1.5 * 4 * np.prod(size, dtype=np.int64):
            yield None
        else:
            write(folder, size)
            yield folder
    finally:
        shutil.rmtree(folder)


def free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def compare(
    size: tuple[int, int, int], rounds: int, tick: Callable[[], None] = lambda: None
) -> dict[str, object]:
    """Measures all ways on predictions of one size, in interleaved rounds."""
    from limits import ratios, spread

    needed = NAIVE_COPIES * 8 * int(np.prod(size, dtype=np.int64))
    row: dict[str, object] = {"size": list(size), "threads": torch.get_num_threads()}
    with on_disk(size) as folder:
        if folder is None:
            return row | {"not_measured": f"no room on the disk of {tempfile.gettempdir()}"}
        bare = measured("nothing", folder)["peak_bytes"]
        ways = ["softmax", "statistics"]
        if needed < 0.6 * free_bytes():
            ways.append("naive")
        else:
            row["naive_not_measured"] = f"needs {needed / 2**30:.0f} GiB"
        passes: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                passes[way].append(measured(way, folder))
                tick()
        if "naive" in ways:
            row["difference"] = difference(folder)
    seconds = {way: [m["seconds"] for m in ms] for way, ms in passes.items()}
    row["seconds"] = {way: spread(times) for way, times in seconds.items()}
    row["peak_bytes"] = {way: max(m["peak_bytes"] for m in ms) - bare for way, ms in passes.items()}
    row["over_softmax"] = ratios(seconds["statistics"], seconds["softmax"])
    if "naive" in ways:
        row["naive_over_statistics"] = ratios(seconds["naive"], seconds["statistics"])
    return row


def difference(folder: Path) -> float:
    """Largest relative difference of squared bias or variance between package and formulas."""
    ours, expected = statistics(folder)(), naive(folder)()
    pairs = zip((ours.bias_sq, ours.variance), expected, strict=True)
    return max(float(((a - b).abs() / b).max()) for a, b in pairs)


def growth(size: tuple[int, int, int], rounds: int) -> dict[str, object]:
    """Nanoseconds per logit and peak memory of the package alone."""
    from limits import spread

    with on_disk(size) as folder:
        bare = measured("nothing", folder)["peak_bytes"]
        passes = [measured("statistics", folder) for _ in range(rounds)]
    logits = int(np.prod(size, dtype=np.int64))
    return {
        "size": list(size),
        "nanoseconds_per_logit": spread([1e9 * m["seconds"] / logits for m in passes]),
        "peak_bytes": max(m["peak_bytes"] for m in passes) - bare,
    }


if __name__ == "__main__":
    if sys.argv[1] == "nothing":
        took = 0.0
    else:
        run = WAYS[sys.argv[1]](Path(sys.argv[2]))
        begin = time.perf_counter()
        run()
        took = time.perf_counter() - begin
    print(json.dumps({"seconds": took, "peak_bytes": peak_bytes()}))
