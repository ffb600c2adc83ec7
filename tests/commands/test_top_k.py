"""`bvalign fit --predictions.top_k`: members of a run store the largest logits alone."""

from pathlib import Path

import pytest
import torch

from bvalign import RunDirectory
from bvalign.data import Digits

ROOT = Path("runs/digits-mlp")
MEMBERS, TOP_K = "--model.members=2", "--predictions.top_k=4"


@pytest.mark.slow
def test_members_store_the_largest_logits_and_that_of_the_label(fit, capsys):
    fit(MEMBERS, TOP_K, "--predictions.train=true")
    run, data = RunDirectory(ROOT), Digits(num_train=100, num_test=57)
    data.setup()
    for split, target in (("test", data.arrays.test_target), ("train", data.arrays.train_target)):
        labels = torch.from_numpy(target).unsqueeze(-1)
        for member in range(2):
            top = run.member(member).open_logits(split).kept(slice(None))
            assert top.logits.shape == (1, len(target), 4)
            assert (top.indices.long()[0] == labels).any(dim=-1).all()
    predictions = run.predictions()
    assert predictions.kept(2, 9).logits.shape == (2, 7, 4)
    assert predictions.read(2, 9).shape == (2, 7, 10)
    header = (ROOT / "samples.csv").read_text().split("\n", 1)[0].split(",")
    assert {"bias_sq_low", "variance_high"} <= set(header)
    assert "label_outside" in (ROOT / "summary.json").read_text()
    logits = ROOT / "members" / "0000" / "logits.safetensors"
    before = logits.read_bytes()
    for other, told in (
        ([], "predictions.top_k: 4 there, None now"),
        (["--predictions.top_k=5"], "predictions.top_k: 4 there, 5 now"),
    ):
        with pytest.raises(SystemExit, match=told):
            fit(MEMBERS, *other, f"--trainer.default_root_dir={ROOT}")
    assert logits.read_bytes() == before
    with pytest.raises(SystemExit, match="must be from 2 to 9"):
        fit(MEMBERS, "--predictions.top_k=10")
    capsys.readouterr()
