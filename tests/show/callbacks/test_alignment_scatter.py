"""When the callback that follows the alignment draws, and what it says when it does not."""

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from bvalign import AlignmentScatter, Ensemble
from bvalign.data import Digits
from bvalign.show.callbacks import alignment_log


@pytest.fixture
def drawn(monkeypatch):
    """Keys under which figures were drawn; CSV stands for a logger that can show them."""
    keys = []
    monkeypatch.setattr(alignment_log, "ABLE", (CSVLogger,))
    monkeypatch.setattr(alignment_log, "log_figure", lambda _, key, *__, **___: keys.append(key))
    monkeypatch.setattr(alignment_log, "alignment_scatter", lambda *_, **__: None)
    return keys


def fitted(*, members, **options):
    """A Trainer after fit and test of digits, and what it has logged."""
    data = Digits(num_train=40, num_test=30, batch_size=20)
    module = Ensemble(data.num_classes, data.image_shape, arch="mlp", members=members)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1}
    quiet |= {
        "log_every_n_steps": 1,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "accelerator": "cpu",
    }
    options = {"callbacks": [AlignmentScatter()], "logger": CSVLogger("logs"), **quiet, **options}
    trainer = Trainer(**options)
    trainer.fit(module, data)
    logged = dict(trainer.callback_metrics)
    trainer.test(module, data, verbose=False)
    return logged | dict(trainer.callback_metrics)


def test_two_members_are_drawn_and_one_is_not(drawn):
    assert {"val/bias_sq", "test/alignment/slope"} <= set(fitted(members=2))
    assert drawn == ["val/alignment", "test/alignment"]
    drawn.clear()
    assert "test/bias_sq" in fitted(members=1)
    assert drawn == []


@pytest.mark.parametrize(
    ("option", "value", "stages"),
    [
        ("fast_dev_run", True, []),
        ("limit_test_batches", 1, ["val/alignment"]),
        ("limit_val_batches", 1, ["test/alignment"]),
    ],
)
def test_a_part_of_the_samples_is_not_drawn_and_a_line_says_why(
    drawn, capsys, option, value, stages
):
    logged = fitted(members=2, **{option: value})
    assert drawn == stages
    assert [key for key in logged if key.endswith("bias_sq")] == [
        key.replace("alignment", "bias_sq") for key in stages
    ]
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "Scatter" in line]
    assert said.startswith(f"AlignmentScatter: {option}={value} ")
    assert said.endswith("so nothing is kept or drawn")


def test_a_sanity_check_is_not_drawn(drawn, capsys):
    fitted(members=2, num_sanity_val_steps=1)
    assert drawn == ["val/alignment", "test/alignment"]
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "Scatter" in line]
    assert said.startswith("AlignmentScatter: the sanity check sees a few batches, so nothing")
