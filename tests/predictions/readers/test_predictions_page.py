"""The examples of docs/predictions.md are run, and what they write is read."""

import re

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from tests import ROOT

PAGE = (ROOT / "docs" / "predictions.md").read_text()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the examples made, in the folder where they wrote it."""
    pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(code, "predictions.md", "exec"), names)
    return names


def test_what_the_examples_write_is_read(written):
    files = ("predictions.npz", "seeds.npz", "all.pt", "long.csv", "lines.jsonl")
    for path in (*files, "runs", "large", "predictions.zarr"):
        predictions, _ = open_predictions(path)
        logits = torch.cat([logits for logits, _ in predictions.ranges()], dim=1)
        assert np.array_equal(logits.numpy().astype(np.float32), written["logits"]), path
        assert np.array_equal(predictions.target, written["labels"]), path
    votes, _ = open_predictions("votes.csv")
    logits = torch.cat([logits for logits, _ in votes.ranges()], dim=1)
    assert np.array_equal(logits.argmax(-1).numpy(), written["logits"].argmax(-1))
