"""Messages of ranks whose tensors are on a GPU, without one."""

from unittest import mock

import pytest
import torch
from lightning.pytorch import Trainer
from torch._subclasses import FakeTensorMode

import bvalign.ensemble.strategy  # noqa: F401 (registers member_parallel)
from bvalign.show.callbacks import alignment_scatter

CUDA = "lightning.{}.accelerators.cuda.num_cuda_devices"


@pytest.fixture
def strategy():
    with (
        mock.patch(CUDA.format("fabric"), return_value=2),
        mock.patch(CUDA.format("pytorch"), return_value=2),
    ):
        trainer = Trainer(
            accelerator="gpu", devices=2, strategy="member_parallel", logger=False, barebones=True
        )
    return trainer.strategy


def test_ranks_on_gpus_meet_by_gloo_and_bind_their_group_to_no_device(strategy):
    assert strategy.root_device == torch.device("cuda", 0)
    with mock.patch("torch.distributed.init_process_group") as joined:
        strategy.setup_distributed()
    assert joined.call_args.args == ("gloo",)
    assert joined.call_args.kwargs.keys() == {"rank", "world_size", "timeout"}


def test_messages_go_from_the_host_and_results_return_to_the_device(monkeypatch, strategy):
    sent = []

    def collective(result):
        """Stands for each; gives what it gets."""

        def call(tensor, *_, **__):
            sent.append(tensor.device.type)
            return result(tensor)

        return call

    for path, result in {
        "lightning.pytorch.strategies.ddp._sync_ddp_if_available": lambda tensor: tensor,
        "lightning.pytorch.strategies.parallel._all_gather_ddp_if_available": lambda tensor: tensor,
        "bvalign.show.callbacks.alignment_scatter.gather_all_tensors": lambda tensor: [tensor],
    }.items():
        monkeypatch.setattr(path, collective(result))
    with FakeTensorMode():
        value = torch.zeros(3, device="cuda")
        found = [strategy.reduce(value), strategy.all_gather(value)]
        for backend in ("gloo", "nccl"):
            monkeypatch.setattr(torch.distributed, "get_backend", lambda _, b=backend: b)
            found += alignment_scatter._gathered(value)
    assert [tensor.device.type for tensor in found] == ["cuda"] * 4
    assert sent == ["cpu", "cpu", "cpu", "cuda"]
    assert strategy.reduce_boolean_decision(True) is False  # of two ranks
    assert strategy.reduce_boolean_decision(True, all=False) is True
    assert sent[4:] == ["cpu"] * 2
