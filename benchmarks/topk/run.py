"""What top-k logits leave open: widths of the bounds of each statistic, bytes and seconds.

    python benchmarks/topk/run.py

Three ensembles of eight members: networks that predict the next of 1,000 words from the three
before, trained here on the help texts of Python; and synthetic logits of 1,000 and 21,841 classes,
normal with standard deviation 2 for each class, 0.8 for each member beside that, and a margin of
the label from 0 to 14. Of each, 16, 64 and 256 logits of a sample are kept, always with that of the
label: every true value must lie within its bounds. Seconds of one core are those of the pass over
the samples, with bounds, and in brackets over all logits without.

Writes results.json and results.md beside this file.
"""

import json
import re
import time
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import Tensor, nn

from bvalign.analysis.block_values import BlockValues, Plan, block_values
from bvalign.analysis.collect import Range
from bvalign.analysis.groups import member_groups
from bvalign.analysis.top_k import LABELLED
from bvalign.atomic import write_atomic
from bvalign.predictions.predictions import samples_per_range
from bvalign.provenance import provenance
from bvalign.top_k import TopK, dense, join_members, keep_top

HERE = Path(__file__).parent
MEMBERS, KEPT = 8, (16, 64, 256)
WORDS, CONTEXT, POSITIONS, TRAINED_ON = 1000, 3, 300, 50_000
SYNTHETIC = {1000: 300, 21841: 16}
"""Classes -> samples."""


def words() -> tuple[Tensor, Tensor]:
    """Logits of networks trained on words, and the words that followed."""
    text = " ".join(topics[name] for name in sorted(topics)).lower()
    found, counts = np.unique(re.findall(r"[a-z_]+|[^\sa-z_]", text), return_counts=True)
    place = {word: n for n, word in enumerate(found[np.argsort(-counts)][: WORDS - 1].tolist())}
    ids = [place.get(word, WORDS - 1) for word in re.findall(r"[a-z_]+|[^\sa-z_]", text)]
    windows = torch.tensor(ids).unfold(0, CONTEXT + 1, 1)
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))
    test, train = windows[order[:POSITIONS]], windows[order[POSITIONS : POSITIONS + TRAINED_ON]]
    return torch.stack([trained(seed, train)(test[:, :-1]) for seed in range(MEMBERS)]), test[:, -1]


def trained(seed: int, windows: Tensor) -> nn.Module:
    """One network after one epoch."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Embedding(WORDS, 32), nn.Flatten(), nn.Linear(32 * CONTEXT, 128), nn.ReLU(),
        nn.Linear(128, WORDS),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for batch in windows[torch.randperm(len(windows))].split(256):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch[:, :-1]), batch[:, -1]).backward()
        optimizer.step()
    return network.requires_grad_(False)


def synthetic(num_classes: int, num_samples: int) -> tuple[Tensor, Tensor]:
    """Logits as above."""
    random = torch.Generator().manual_seed(0)
    target = torch.randint(num_classes, (num_samples,), generator=random)
    base = 2 * torch.randn(num_samples, num_classes, generator=random)
    base[torch.arange(num_samples), target] += 14 * torch.rand(num_samples, generator=random)
    noise = torch.randn(MEMBERS, num_samples, num_classes, generator=random)
    return base + 0.8 * noise, target


def values_of(logits: Tensor, target: Tensor, top: TopK | None = None) -> tuple[dict, float]:
    """Statistics of all samples by name, or their bounds (2, samples), and the seconds."""
    none, step = torch.arange(0), samples_per_range(MEMBERS, logits.shape[-1])
    plan = Plan(member_groups(MEMBERS), torch.arange(MEMBERS), none, none, none, None)
    parts: list[dict[str, Tensor]] = []
    start = time.process_time()
    for first in range(0, len(target), step):
        here = slice(first, first + step)
        part = None
        if top is not None:
            part = TopK(*(values[:, here] for values in top[:3]), top.num_classes)
        block = logits[:, here] if part is None else dense(part)
        values = block_values(Range(first, block, target[here], None, None, part), plan)
        parts.append(columns(values) if part is None else bounds(values))
    seconds = time.process_time() - start
    return {name: torch.cat([p[name] for p in parts], dim=-1) for name in parts[0]}, seconds


def columns(values: BlockValues) -> dict[str, Tensor]:
    found = {}
    for part in (values.decomposition, values.cross_entropy, values.gap):
        found |= part._asdict()
    errors = values.log_errors
    found |= {"log_bias_sq_error": errors.bias_sq.sqrt()}
    found |= {"log_variance_error": errors.variance.sqrt()}
    return {name: found[name].double() for name in LABELLED}


def bounds(values: BlockValues) -> dict[str, Tensor]:
    found = values.bounds
    ends = {name: torch.stack(e) for name, *e in zip(LABELLED, found.low, found.high, strict=True)}
    return ends | {"undecided": found.undecided.reshape(1)}


def measured(logits: Tensor, target: Tensor) -> list[dict[str, object]]:
    """Bounds, bytes and seconds for each number of logits kept."""
    true, seconds = values_of(logits, target)
    rows = []
    for number in KEPT:
        top = join_members([keep_top(member, number, target) for member in logits])
        found, of_top = values_of(logits, target, top)
        rows.append(
            {
                "k": number,
                "bytes": sum(t.nbytes for t in top[:3]) / top.rest.numel(),
                "bytes_of_all": logits.nbytes / top.rest.numel(),
                "seconds": of_top,
                "seconds_of_all": seconds,
                "rest": float((top.rest - logits.double().logsumexp(dim=-1)).exp().mean()),
                "undecided": int(found["undecided"].sum()),
                "outside": sum(_outside(true[name], *found[name]) for name in LABELLED),
                "widths": {name: _widths(true[name], *found[name]) for name in LABELLED},
            }
        )
    return rows


def _outside(true: Tensor, low: Tensor, high: Tensor) -> int:
    return int((~((low <= true) & (true <= high))).sum())


def _widths(true: Tensor, low: Tensor, high: Tensor) -> dict[str, float]:
    """Width of the bounds of the mean, and of a median sample, relative to the values."""
    width, size = high - low, true.abs().clamp(min=1e-300)
    mean = float(width.mean() / true.mean().abs())
    return {"mean": mean, "median": float((width / size).median())}


def page(results: dict[str, object]) -> str:
    """The table of results.md."""
    lines = ["# Top-k logits", "", "Made by `python benchmarks/topk/run.py`, which says how.", ""]
    lines += ["Width of the bounds of a mean, divided by the mean; 0 is exact.", ""]
    columns = [(name, row) for name, rows in results["ensembles"].items() for row in rows]
    cells = [[f"{name}, k = {row['k']}" for name, row in columns]]
    cells += [["---:"] * len(columns)]
    heads = ["statistic", "---"]
    for name in LABELLED:
        heads.append(f"`{name}`")
        cells.append([_rounded(row["widths"][name]["mean"]) for _, row in columns])
    told = {
        "share of the rest": lambda row: f"{row['rest']:.1%}",
        "predictions undecided": lambda row: str(row["undecided"]),
        "values outside their bounds": lambda row: str(row["outside"]),
        "bytes a sample and member (all logits)": lambda row: (
            f"{row['bytes']:,.0f} ({row['bytes_of_all']:,.0f})"
        ),
        "seconds of one core (all logits)": lambda row: (
            f"{row['seconds']:.2g} ({row['seconds_of_all']:.2g})"
        ),
    }
    for head, say in told.items():
        heads.append(head)
        cells.append([say(row) for _, row in columns])
    lines += [f"| {head} | {' | '.join(row)} |" for head, row in zip(heads, cells, strict=True)]
    made = results["provenance"]
    about = f"On {made['device']} with torch {made['versions']['torch']}."
    return "\n".join([*lines, "", about, ""])


def _rounded(width: float) -> str:
    return "0" if width < 1e-9 else f"{width:.1e}" if width < 1e-3 else f"{width:.2g}"


def main() -> None:
    """Measures and writes both files."""
    ensembles = {"words": words()}
    ensembles |= {f"{k:,} classes": synthetic(k, n) for k, n in SYNTHETIC.items()}
    found = {name: measured(*ensemble) for name, ensemble in ensembles.items()}
    results = {"ensembles": found, "provenance": provenance(torch.device("cpu"))}
    write_atomic(HERE / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(HERE / "results.md", page(results).encode())


if __name__ == "__main__":
    main()
