"""The gain from a second core: the same run by one process, by two ranks and by two workers.

    python benchmarks/devices/run.py        # writes results.json, results.md here; about 4 minutes

32 CNNs on the digits for 20 epochs, with one thread per process and the sequential plan, so that
all ways train the same members. Times cover the whole command, from its start to its report, with
the imports of every process and the report of one; `in training` is from the first claim of a pack
to the last finished member. Rounds are interleaved and medians are quoted.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.progress import track

from bvalign.provenance import provenance

FIT = (
    "fit --data=Digits --data.batch_size=32 --model.arch=cnn --model.width=8 --model.members=32 "
    "--model.pack_size=4 --model.plan=sequential --trainer.max_epochs=20 "
    "--trainer.accelerator=cpu --trainer.logger=false"
).split()
WAYS = {"one process": (1, 1), "two ranks": (2, 1), "two workers": (1, 2)}  # ranks, workers


def timed(ranks: int, workers: int) -> tuple[float, float]:
    """Seconds of the whole run, and of its training."""
    root = Path(tempfile.mkdtemp(prefix="bvalign-devices-"))
    command = [sys.executable, "-m", "bvalign", *FIT, f"--trainer.devices={ranks}"]
    command.append(f"--trainer.default_root_dir={root / 'run'}")
    start = time.monotonic()
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(workers)
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError(f"fit failed, see {root}")
    whole = time.monotonic() - start
    first = min(path.stat().st_mtime for path in root.glob("run/packs/*.lock"))
    last = max(path.stat().st_mtime for path in root.glob("run/members/*/logits.safetensors"))
    shutil.rmtree(root)
    return whole, last - first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    rounds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for way in track(list(WAYS) * args.rounds, description="whole fits"):
        rounds[way].append(timed(*WAYS[way]))
    rows = []
    for way, times in rounds.items():
        whole, training = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append({"way": way, "whole": whole, "training": training, "rounds": times})
    alone = rows[0]
    lines = [
        "# Several devices",
        "",
        "Seconds, medians; speed-up over one process. Made by `python benchmarks/devices/run.py`.",
        "",
        "| trained by | whole run | speed-up | in training | speed-up |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row['way']} | {row['whole']:.1f} | {alone['whole'] / row['whole']:.2f} | "
            f"{row['training']:.1f} | {alone['training'] / row['training']:.2f} |"
            for row in rows
        ),
        "",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    results = {"rows": rows, "cores": os.cpu_count(), "made_with": provenance()}
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.out / "results.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
