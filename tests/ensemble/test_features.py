from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import timm
import torch

from bvalign.ensemble import networks
from bvalign.ensemble.features import last_layer
from bvalign.show.callbacks import neural_collapse
from bvalign.show.callbacks.neural_collapse import NeuralCollapseMonitor
from tests.processes import TINY


@pytest.mark.parametrize(
    "arch",
    ["mlp", "cnn", "resnet8_cifar", "resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224"],
)
def test_the_last_layer_of_its_features_gives_the_logits(arch):
    size = 224 if arch.startswith("vit") else 32
    network = networks.create(arch, 5, (3, size, size))
    network.train()
    input = torch.randn(3, 3, size, size)
    features, weight, bias = last_layer(network, input, batch_size=2)
    assert network.training
    network.eval()
    torch.testing.assert_close(features @ weight.T + bias, network(input), rtol=1e-4, atol=1e-4)


def test_two_heads_are_refused():
    network = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=5)
    with pytest.raises(ValueError, match="must be one linear layer, got tuple"):
        last_layer(network, torch.randn(1, 3, 224, 224))


@pytest.mark.usefixtures("without_figures")
def test_the_monitor_measures_every_member_and_sees_collapse_begin(bvalign):
    bvalign(
        "fit",
        *TINY,
        "--trainer.logger=false",
        "--model.members=3",
        "--trainer.max_epochs=40",
        "--trainer.check_val_every_n_epoch=40",
        "--trainer.callbacks+=bvalign.show.callbacks.neural_collapse.NeuralCollapseMonitor",
        "--trainer.callbacks.every_n_epochs=3",
    )
    lines = Path("runs/digits-mlp/collapse.csv").read_text().splitlines()
    header, *rows = [line.split(",") for line in lines]
    assert header == ["member", "epoch", "nc1", "nc2_norms", "nc2_cosines", "nc3", "nc4"]
    epochs = [1, *range(3, 40, 3), 40]
    assert [row[:2] for row in rows] == [[m, str(e)] for e in epochs for m in ("0", "1", "2")]
    for member in range(3):
        assert float(rows[-3 + member][2]) < float(rows[member][2])  # NC1 falls
    with pytest.raises(ValueError, match="every_n_epochs must be at least 1, got 0"):
        NeuralCollapseMonitor(0)


def test_ranks_and_workers_write_one_table_and_a_resumed_training_replaces_its_rows(tmp_path):
    def record(member):
        for epoch in (1, 2, 2):
            neural_collapse._record(tmp_path, epoch, {member: (0.5, 0.0, 0.0, 0.0, 0.0)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(8)))
    header, *rows = (tmp_path / "collapse.csv").read_text().splitlines()
    assert header == "member,epoch,nc1,nc2_norms,nc2_cosines,nc3,nc4"
    assert sorted(rows) == [f"{m},{e},0.5,0.0,0.0,0.0,0.0" for m in range(8) for e in (1, 2)]
