"""Small valid predictions in every format that is read; faults are made of these."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bad_inputs.kind import ENSEMBLE

Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """Logits and labels of the ensemble."""
    return {"logits": ENSEMBLE.logits, "labels": ENSEMBLE.labels}


def rows() -> list[dict[str, object]]:
    """A row for each member and sample."""
    return [
        {"member": f"seed{m}", "sample": n, "label": int(label)}
        | {f"logit{k}": float(z) for k, z in enumerate(ENSEMBLE.logits[m, n])}
        for m in range(len(ENSEMBLE.logits))
        for n, label in enumerate(ENSEMBLE.labels)
    ]


def text(table: list[dict[str, object]], delimiter: str = ",", end: str = "\n") -> str:
    """A table as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [*table[0]], delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def save_npz(path: Path, values: Arrays, save: Callable[..., None] = np.savez) -> None:
    with path.open("wb") as file:
        save(file, **values)


def save_safetensors(path: Path, values: Arrays) -> None:
    from safetensors.numpy import save_file

    save_file(values, path)


def save_torch(path: Path, values: Arrays) -> None:
    import torch

    torch.save({name: torch.from_numpy(value) for name, value in values.items()}, path)


def save_json(path: Path, values: Arrays) -> None:
    path.write_text(json.dumps({name: value.tolist() for name, value in values.items()}))


def save_parquet(path: Path, table: list[dict[str, object]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(table), path)


def save_jsonl(path: Path, table: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table))


def save_eval(path: Path, epochs: int = 3) -> None:
    """A log of Inspect, an epoch for each member; members choose their highest logit."""
    spec = {"task": "quiz", "model": "some/model", "created": "2026-01-01"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = {"version": 2, "status": "success", "eval": spec}
        archive.writestr("header.json", json.dumps(header))
        for epoch in range(1, epochs + 1):
            for number, label in enumerate(ENSEMBLE.labels):
                sample = inspect_sample(number, epoch, int(label))
                name = f"samples/{number}_epoch_{epoch}.json"
                archive.writestr(name, json.dumps(sample))


def inspect_sample(number: int, epoch: int, label: int) -> dict[str, object]:
    vote = int(ENSEMBLE.logits[epoch - 1, number].argmax())
    score = {"value": "C" if vote == label else "I", "answer": "ABC"[vote]}
    return {
        "id": number + 1,
        "epoch": epoch,
        "input": f"question {number}",
        "choices": ["red", "green", "blue"],
        "target": "ABC"[label],
        "scores": {"choice": score},
    }


def save_lm_eval(path: Path) -> None:
    """Docs of lm-evaluation-harness, of one model."""
    lines = []
    for number, label in enumerate(ENSEMBLE.labels):
        logits = ENSEMBLE.logits[0, number]
        pairs = {
            f"gen_args_{k}": {"arg_0": f"question {number}", "arg_1": f" option {k}"}
            for k in range(3)
        }
        lines.append(
            {"doc_id": number, "target": str(label), "arguments": pairs, "filter": "none"}
            | {"filtered_resps": [[str(z), "False"] for z in logits], "doc": {"query": "q"}}
            | {"acc": float(logits.argmax() == label), "doc_hash": f"h{number}"}
        )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "npz": ("p.npz", lambda path: save_npz(path, arrays())),
    "npz compressed": ("p.npz", lambda path: save_npz(path, arrays(), np.savez_compressed)),
    "npy": ("logits.npy", lambda path: np.save(path, ENSEMBLE.logits)),
    "safetensors": ("p.safetensors", lambda path: save_safetensors(path, arrays())),
    "pt": ("p.pt", lambda path: save_torch(path, arrays())),
    "json": ("p.json", lambda path: save_json(path, arrays())),
    "csv": ("p.csv", lambda path: path.write_text(text(rows()))),
    "tsv": ("p.tsv", lambda path: path.write_text(text(rows(), "\t"))),
    "csv.gz": ("p.csv.gz", lambda path: path.write_bytes(gzip.compress(text(rows()).encode()))),
    "parquet": ("p.parquet", lambda path: save_parquet(path, rows())),
    "jsonl": ("p.jsonl", lambda path: save_jsonl(path, rows())),
    "eval": ("p.eval", save_eval),
    "lm_eval": ("samples_quiz.jsonl", save_lm_eval),
}
"""Format -> name of the file, and what writes it."""

ARRAYS: dict[str, tuple[str, Callable[[Path, Arrays], None]]] = {
    "npz": ("p.npz", save_npz),
    "safetensors": ("p.safetensors", save_safetensors),
    "pt": ("p.pt", save_torch),
    "json": ("p.json", save_json),
}
"""Formats of named arrays."""

TABLES: dict[str, tuple[str, Callable[[Path, list[dict[str, object]]], None]]] = {
    "csv": ("p.csv", lambda path, table: path.write_text(text(table))),
    "parquet": ("p.parquet", save_parquet),
    "jsonl": ("p.jsonl", save_jsonl),
}
"""Formats of rows."""


def analyze(path: Path, *more: str | Path) -> list[str | Path]:
    """The command that analyses a file."""
    return ["analyze", path, "--out", "out", *more]
