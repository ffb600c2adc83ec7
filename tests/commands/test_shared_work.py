"""Several processes share the ranges of samples, and give the same numbers to the last digit."""

import json

import numpy as np
import pytest

from tests.processes import bvalign_process, run_process

MEMBERS, SAMPLES, CLASSES = 16, 1400, 100
"""Five ranges of samples, the last one shorter."""


@pytest.fixture(params=["class ids", pytest.param("soft labels", marks=pytest.mark.slow)])
def predictions(tmp_path, request):
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=SAMPLES)
    logits = rng.standard_normal((MEMBERS, SAMPLES, CLASSES)) * 0.7
    logits[:, np.arange(SAMPLES), labels] += rng.uniform(2, 12, SAMPLES)
    logits[:, :20] = 0.0  # members that agree exactly
    if request.param == "soft labels":
        labels = np.eye(CLASSES, dtype=int)[labels] * 40 + rng.poisson(0.1, (SAMPLES, CLASSES))
    path = tmp_path / "predictions.npz"
    np.savez(path, logits=logits.astype(np.float32), labels=labels)
    return path


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_give_the_numbers_of_one(predictions, tmp_path, ranks):
    results = []
    for number in (1, ranks):
        out = tmp_path / str(number)
        run_process(bvalign_process("analyze", predictions, "--out", out, ranks=number))
        results.append((json.loads((out / "summary.json").read_text()), out / "samples.csv"))
    (alone, rows), (shared, same_rows) = results
    assert shared == alone
    assert same_rows.read_bytes() == rows.read_bytes()
