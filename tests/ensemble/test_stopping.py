"""Signals ask for a stop, whenever they arrive and whatever Lightning would do about them."""

import os
import signal

import pytest

from bvalign import RunDirectory
from bvalign.data import Digits
from bvalign.ensemble.stopping import SIGNALS, StopRequest, signals_to

SLURM = {"JOB_ID": 1, "JOB_NAME": "bvalign", "NODELIST": "127.0.0.1", "NNODES": 1, "NTASKS": 1}
SLURM |= {"NTASKS_PER_NODE": 1, "LOCALID": 0, "PROCID": 0, "NODEID": 0}
ROOT = "runs/digits-mlp"


@pytest.fixture
def at(monkeypatch):
    """Does something when the data module is asked for something, once."""

    def patch(name, act):
        before = getattr(Digits, name)

        def asked(self):
            monkeypatch.setattr(Digits, name, before)
            act()
            return before(self)

        monkeypatch.setattr(Digits, name, asked)

    return patch


@pytest.mark.parametrize(
    ("when", "finished"),
    [("prepare_data", 0), ("train_dataloader", 0), ("val_dataloader", 0), ("test_dataloader", 1)],
)
def test_sigusr1_under_slurm_saves_and_requeues_nothing(
    monkeypatch, at, fit, capsys, when, finished
):
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    at(when, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    with pytest.raises(SystemExit) as stop:
        fit("--model.members=2", "--model.pack_size=1")
    assert stop.value.code == 75
    assert "bvalign: interrupted." in capsys.readouterr().err
    if when == "prepare_data":  # there is no run yet
        return
    run = RunDirectory(ROOT)
    assert len(run.finished()[0]) == finished
    with run.claim() as work:
        assert (work.step > 0) == (finished == 0)
    assert not list(run.root.glob("hpc_ckpt*"))


@pytest.mark.filterwarnings("ignore:The `srun` command")
def test_lightning_handles_no_signal_itself(monkeypatch, at, fit):
    """Fails where Lightning renames what `keep_lightning_from_signals` replaces."""
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    handlers = []
    at("val_dataloader", lambda: handlers.extend(map(signal.getsignal, SIGNALS)))
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup's tests ignore it
    try:
        before = list(map(signal.getsignal, SIGNALS))
        fit("--model.members=1")
        assert [handler.__func__ for handler in handlers] == [StopRequest.ask] * len(SIGNALS)
        assert list(map(signal.getsignal, SIGNALS)) == before
    finally:
        signal.signal(signal.SIGINT, outside)


def test_ignored_signals_stay_ignored_and_a_second_one_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = StopRequest()
    with signals_to(stop.ask):
        os.kill(os.getpid(), signal.SIGINT)
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.signal(signal.SIGINT, before) is signal.SIG_IGN
