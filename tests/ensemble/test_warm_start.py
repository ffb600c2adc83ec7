"""Members that begin with the weights of a trained one, with and without a frozen backbone."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bvalign import Ensemble
from bvalign.data import Digits
from bvalign.ensemble.features import last_layer
from bvalign.ensemble.warm_start import WarmStart
from tests.networks import quiet_trainer

WIDTHS = {"widths": [4, 6]}
NETWORKS = {
    "cnn": {"arch": "cnn", "width": 4},
    "whitened": {"arch": "whitened_cnn", "arch_args": WIDTHS},
    "timm": {"arch": "tests.networks.small_resnet"},
}


def write_weights(classes=3, **network):
    """Weights of a network with another last layer and with statistics of its own."""
    module = Ensemble(classes, (1, 8, 8), members=1, seed=9, **network)
    weights = module.initial_network(0).state_dict()
    weights = {k: v + 0.5 if "running" in k else v for k, v in weights.items()}
    save_file(weights, "weights.safetensors")
    return weights


def is_head(name):
    return name.startswith("fc.")


def trained(plan, frozen, **network):
    module = Ensemble(
        10, (1, 8, 8), members=4, plan=plan, warm_start=WarmStart("weights.safetensors", frozen),
        weight_decay=0.1, **network,
    )  # fmt: skip
    module.assign([0, 3])
    module.configure_model()
    before = {m: {k: v.clone() for k, v in module.pack.network_weights(m).items()} for m in (0, 3)}
    trainer = quiet_trainer(max_epochs=1, limit_val_batches=2)
    trainer.fit(module, Digits(batch_size=20, num_train=60, num_test=20))
    return module, before, {m: module.pack.network_weights(m) for m in (0, 3)}


@pytest.mark.parametrize("plan", ["sequential", "packed", "vmap"])
def test_members_differ_in_the_last_layer_alone_and_a_frozen_backbone_stays(plan):
    given = write_weights(**NETWORKS["cnn"])
    fresh = Ensemble(10, (1, 8, 8), members=4, **NETWORKS["cnn"])
    _, before, after = trained(plan, True, **NETWORKS["cnn"])
    for member in (0, 3):
        own = fresh.initial_network(member).state_dict()
        for name, tensor in before[member].items():
            assert torch.equal(tensor, own[name] if is_head(name) else given[name])
            assert torch.equal(after[member][name], tensor) != is_head(name)
    assert not torch.equal(before[0]["fc.weight"], before[3]["fc.weight"])
    _, before, after = trained(plan, False, **NETWORKS["cnn"])
    assert torch.equal(before[3]["body.0.weight"], given["body.0.weight"])
    assert not any(torch.equal(after[3][k], v) for k, v in before[3].items())


@pytest.mark.parametrize("network", ["whitened", "timm"])
def test_a_frozen_backbone_of_other_networks_stays(network):
    given = write_weights(**NETWORKS[network])
    module, before, after = trained("sequential", True, **NETWORKS[network])
    for name, tensor in after[3].items():
        assert torch.equal(tensor, given[name] if not is_head(name) else tensor)
    assert not torch.equal(before[3]["fc.weight"], after[3]["fc.weight"])
    # what looks at features and sets modes puts nothing back into training
    network = module.pack.network(3).train()
    last_layer(network, torch.randn(4, 1, 8, 8))
    assert [name for name, part in network.named_modules() if part.training] == ["", "fc"]


def test_a_run_knows_the_weights_by_their_content(fit):
    fit("--model.arch=cnn", "--model.width=4", "--model.members=1", "--trainer.default_root_dir=a")
    source = "a/members/0000/weights.safetensors"
    options = [
        "--model.arch=cnn", "--model.width=4", "--model.members=2",
        "--trainer.default_root_dir=b", "--model.warm_start.frozen=true",
    ]  # fmt: skip
    fit(*options, f"--model.warm_start.weights={source}")
    identity = json.loads(Path("b/run.json").read_text())["identity"]
    assert identity["model.warm_start.frozen"] is True
    assert len(identity["model.warm_start.weights"]) == 16
    assert "model.warm_start.weights" not in json.loads(Path("a/run.json").read_text())["identity"]
    body = [load_file(f"{run}/members/0000/weights.safetensors") for run in "ab"]
    assert all(torch.equal(body[0][k], v) for k, v in body[1].items() if not is_head(k))
    Path(source).rename("moved.safetensors")
    assert WarmStart("moved.safetensors", True).identity() == {
        "weights": identity["model.warm_start.weights"],
        "frozen": True,
    }


def test_what_cannot_be_a_start_is_refused():
    def start(weights="weights.safetensors", **network):
        network = NETWORKS["cnn"] | network
        module = Ensemble(10, (1, 8, 8), members=1, warm_start=WarmStart(weights), **network)
        module.initial_network(0)

    with pytest.raises(ValueError, match=r"frozen=true needs --model.warm_start.weights=FILE"):
        WarmStart(frozen=True)
    with pytest.raises(ValueError, match=r"none.safetensors cannot be read \(No such file"):
        start("none.safetensors")
    Path("text").write_text("no weights")
    with pytest.raises(ValueError, match="text is no intact safetensors file"):
        start("text")
    write_weights(**NETWORKS["cnn"])
    start()
    with pytest.raises(
        ValueError,
        match=r"'body.0.weight' is \(8, 1, 3, 3\) in the network, \(4, 1, 3, 3\) in weights",
    ):
        start(width=8)
    with pytest.raises(ValueError, match=r"'body.0.weight' is None in the network, \(4, 1, 3, 3\)"):
        start(arch="mlp")
    with pytest.raises(ValueError, match="last linear layer, got Sequential with NoneType"):
        start(arch="tests.networks.grouped", width=None)
