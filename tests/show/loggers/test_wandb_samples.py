"""The table of samples: one schema, whichever code logs it."""

import numpy as np
import pytest
import wandb
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger

from bvalign.data import Digits
from bvalign.ensemble.module import Ensemble
from bvalign.show.callbacks import AlignmentScatter
from bvalign.show.loggers import wandb_samples

TABLE = ["index", "label", "prediction", "correct", "bias_sq", "variance", "risk", "disagreement"]


class Experiment:
    """A W&B run that keeps what is logged."""

    def __init__(self, *, offline=True):
        self.offline, self.logged = offline, {}

    def log(self, values):
        self.logged |= values


def test_a_test_outside_of_fit_logs_the_same_columns():
    experiment = Experiment()
    logger = WandbLogger(experiment=experiment)
    data = Digits(num_train=20, num_test=30)
    module = Ensemble(data.num_classes, data.image_shape, arch="mlp", members=3)
    options = {"enable_progress_bar": False, "enable_checkpointing": False, "devices": 1}
    trainer = Trainer(logger=logger, callbacks=[AlignmentScatter()], accelerator="cpu", **options)
    trainer.test(module, data, verbose=False)
    table = experiment.logged["test/samples"]
    assert table.columns == ["image", *TABLE]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.data]
    assert [row["index"] for row in rows] == list(range(30))
    assert all(row["correct"] == (row["label"] == row["prediction"]) for row in rows)
    assert {row["disagreement"] for row in rows} == {None}  # which the live metric does not know


@pytest.mark.skipif(not hasattr(wandb, "EvalTable"), reason="needs a newer wandb")
def test_online_the_table_compares_samples_of_runs(monkeypatch):
    made = {}
    monkeypatch.setattr(wandb, "EvalTable", lambda **given: made.update(given))
    monkeypatch.setattr(wandb_samples.importlib.util, "find_spec", lambda _: "weave")
    columns = {name: np.arange(4) for name in TABLE[:-1]} | {"mine": np.zeros(4)}
    logger = WandbLogger(experiment=Experiment(offline=False))
    wandb_samples.log_samples(logger, columns, texts=list("abcd"))
    assert made["input_columns"] == ["text", "index", "label"]
    assert made["output_columns"] == ["prediction"]
    assert made["score_columns"] == [*TABLE[3:], "mine"]
    assert made["columns"] == ["text", *TABLE, "mine"]
    assert made["data"][1] == ["b", 1, 1, 1, 1, 1, 1, 1, None, 0.0]
    assert not wandb_samples._compares(Experiment(offline=True))


def test_all_rows_when_they_fit():
    assert wandb_samples._subsample(5, 5).tolist() == list(range(5))
    part = wandb_samples._subsample(1000, 10)
    assert len(set(part.tolist())) == 10


def test_one_member_has_no_points():
    experiment = Experiment()
    columns = {name: np.zeros(4) for name in TABLE}
    wandb_samples.log_points(WandbLogger(experiment=experiment), columns)
    assert experiment.logged == {}
