"""Evaluation is in IEEE float32 whatever training uses, and training goes on as it was."""

import pytest
import torch
from lightning.pytorch import Callback

import bvalign.float32
from bvalign import RunDirectory
from bvalign.float32 import ieee_float32, training_arithmetic
from tests.processes import TINY

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
IEEE = ("ieee", "ieee")


def arithmetic():
    """Convolution and matrix product on a GPU, then on a CPU."""
    pairs = [training_arithmetic(device) for device in (CUDA, CPU)]
    return tuple((pair["convolution"], pair["matmul"]) for pair in pairs)


class Watch(Callback):
    """Notes the arithmetic of every pass, by training or evaluation."""

    seen: set = set()

    def on_fit_start(self, trainer, pl_module):
        def note(network, *_):
            self.seen.add((network.training, arithmetic()))

        for network in pl_module.pack.modules():
            network.register_forward_hook(note)

    on_test_start = on_fit_start


WAYS = ["as before PyTorch 2.9"] + ["by operation"] * hasattr(torch.backends.cudnn, "conv")


@pytest.fixture(params=WAYS)
def _settings(request, monkeypatch):
    """Either way to set it; what it was is set again."""
    with ieee_float32():
        pass  # from now on nothing is PyTorch's default
    with monkeypatch.context() as patch:
        patch.setattr(bvalign.float32, "BY_OPERATION", request.param == "by operation")
        yield
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("_settings")
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_float32_is_ieee_inside_and_as_before_outside(precision):
    torch.set_float32_matmul_precision(precision)
    for allowed in (True, False):
        torch.backends.cudnn.allow_tf32 = allowed
        before = arithmetic()
        assert before[0][0] == ("tf32" if allowed else "ieee")
        assert (before[0][1] == "ieee") == (precision == "highest")
        with ieee_float32():
            assert arithmetic() == (IEEE, IEEE)
        with pytest.raises(KeyError), ieee_float32():
            raise KeyError
        assert arithmetic() == before
        assert torch.backends.cudnn.allow_tf32 == allowed  # PyTorch refuses to say in a mixed state
        assert torch.get_float32_matmul_precision() == precision


def test_a_run_evaluates_in_ieee_float32_and_records_what_training_uses(fit, bvalign):
    torch.set_float32_matmul_precision("high")
    try:
        trained = arithmetic()
        folder = ["--model.members=2", "--trainer.default_root_dir=run"]
        monitor = "--trainer.callbacks+=bvalign.show.callbacks.NeuralCollapseMonitor"
        watch = f"--trainer.callbacks+={__name__}.Watch"
        Watch.seen = set()
        fit(*folder, watch, monitor)
        assert Watch.seen == {(True, trained), (False, (IEEE, IEEE))}
        Watch.seen = set()
        bvalign("test", *TINY, "--trainer.logger=false", *folder, watch)
        assert Watch.seen == {(False, (IEEE, IEEE))}
        assert arithmetic() == trained
    finally:
        torch.set_float32_matmul_precision("highest")
    stored = RunDirectory("run").info
    assert stored["device"].startswith("cpu ")
    assert stored["arithmetic"] == training_arithmetic(CPU) | {"matmul": trained[1][1]}
