from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from lightning.pytorch import Trainer

from bvalign import Ensemble, Randomness
from bvalign.data import Digits
from bvalign.ensemble import networks, timm_names

PARAMETERS = {"mlp": 26122, "cnn": 15418, "resnet8_cifar": 75002, "resnet20_cifar": 269434}


@pytest.mark.parametrize("arch", [a for a in timm_names.default_cfgs if a != "transformer"])
def test_our_networks_are_timms(arch):
    model = timm.create_model(arch, num_classes=7, in_chans=1, img_size=8)
    images = torch.randn(2, 1, 8, 8)
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    assert features.shape == (2, model.num_features)
    assert torch.equal(model.get_classifier()(features), model(images))
    if arch in PARAMETERS:
        here = networks.create(arch, 10, (1, 8, 8))
        assert sum(p.numel() for p in here.parameters()) == PARAMETERS[arch]


def test_the_transformer_of_texts_is_timms():
    model = timm.create_model("transformer", num_classes=7, in_chans=30, img_size=(1, 8))
    texts = torch.randint(30, (2, 8))
    features = model.forward_head(model.forward_features(texts), pre_logits=True)
    assert torch.equal(model.get_classifier()(features), model(texts))


def test_depth_counts_layers_and_width_scales_channels():
    for depth in networks.RESNET_DEPTHS:
        model = networks.create(f"resnet{depth}_cifar", 10, (3, 32, 32), width=4)
        layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
        assert len(layers) == depth
        assert layers[0].out_channels == 4
    assert networks.create("mlp", 10, (1, 8, 8), depth=0)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_timm_and_dotted_names_work_and_unknown_ones_are_told():
    assert networks.create("resnet18", 4, (1, 32, 32)).conv1.in_channels == 1
    assert networks.create("bvalign.ensemble.networks.CNN", 4, (2, 8, 8)).fc.out_features == 4
    with pytest.raises(ValueError, match="no network 'resnet9_cifar'; ours are mlp, cnn"):
        networks.create("resnet9_cifar", 10, (3, 32, 32))
    with pytest.raises(ValueError, match="similar names are vit_tiny_patch16_224, "):
        networks.create("vit_tiny_patch16_242", 10, (3, 32, 32))
    with pytest.raises(ValueError, match=r"no weights 'a1', only resnet18.a1_in1k, .*leave out"):
        networks.create("resnet18.a1", 10, (3, 32, 32))
    with pytest.raises(ValueError, match="'resnet18' does not accept an argument"):
        networks.create("resnet18", 10, (3, 32, 32), width=3)


def train(members, arch="mlp", steps=20, **arguments):
    """Weights of each member after some steps in float64, and the module."""
    data = Digits(batch_size=20, num_train=100, num_test=20)
    module = Ensemble(10, data.image_shape, arch=arch, width=8, lr=0.05, **arguments)
    module.assign(members)
    trainer = Trainer(
        max_steps=steps,
        precision="64-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        accelerator="cpu",
    )
    trainer.fit(module, datamodule=data)
    weights = {
        m: torch.cat([v.flatten().double() for v in module.pack.network_weights(m).values()])
        for m in members
    }
    return weights, module


@pytest.mark.parametrize("arch", ["mlp", "cnn", "resnet8_cifar"])
def test_a_member_of_four_equals_the_member_alone(arch):
    together, _ = train([0, 1, 2, 3], arch)
    alone, _ = train([2], arch)
    assert torch.allclose(together[2], alone[2], rtol=0, atol=1e-8)
    assert not torch.allclose(together[2], together[1], atol=1e-3)


def test_sources_that_are_shared_are_shared():
    shared = Ensemble(10, (1, 8, 8), arch="mlp", members=3, randomness=Randomness(init="shared"))
    own = Ensemble(10, (1, 8, 8), arch="mlp", members=3)
    for module, equal in ((shared, True), (own, False)):
        module.configure_model()
        first, second = (module.pack.network_weights(m)["fc.weight"] for m in (0, 2))
        assert torch.equal(first, second) == equal
    everything = Randomness("shared", "shared", "shared", "shared")
    weights, _ = train([0, 5], randomness=everything)
    assert torch.equal(weights[0], weights[5])


def test_initial_weights_do_not_depend_on_precision_or_global_state():
    torch.manual_seed(123)
    before = torch.get_rng_state()
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            module = Ensemble(10, (1, 8, 8), members=1)
            module.configure_model()
        finally:
            torch.set_default_dtype(torch.float32)
        found.append(module.pack.network_weights(0)["fc.weight"])
    assert found[1].dtype == torch.float64
    assert torch.equal(found[0].double(), found[1])
    assert torch.equal(before, torch.get_rng_state())


def test_no_gradient_crosses_members():
    module = Ensemble(10, (1, 8, 8), arch="cnn", members=3)
    module.configure_model()
    images, target = torch.randn(3, 6, 1, 8, 8), torch.randint(10, (3, 6))
    gradients = []
    for change in (0.0, 1.0):
        batch = images.clone()
        batch[1] += change
        module.zero_grad()
        module.loss_sum = torch.zeros(3)
        module.training_step((batch, target, target), 0).backward()
        gradients.append(
            [[s.tensor.grad.clone() for s in module.pack.slots(m).values()] for m in range(3)]
        )
    for member, same in ((0, True), (1, False), (2, True)):
        pairs = zip(gradients[0][member], gradients[1][member], strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == same


def test_the_loss_is_the_sum_of_batch_means():
    module = Ensemble(10, (1, 8, 8), arch="mlp", members=2)
    module.configure_model()
    module.loss_sum = torch.zeros(2)
    images, target = torch.randn(2, 6, 1, 8, 8), torch.randint(10, (2, 6))
    logits = module(images)
    expected = sum(torch.nn.functional.cross_entropy(logits[m], target[m]) for m in range(2))
    assert torch.allclose(module.training_step((images, target, target), 0), expected)
    assert torch.allclose(module.loss_sum.sum(), expected)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "triangular", "constant"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_optimizers_and_schedules_train(schedule, optimizer):
    weights, module = train([0], steps=10, schedule=schedule, optimizer=optimizer)
    assert torch.isfinite(weights[0]).all()
    lr = module.optimizers().param_groups[0]["lr"]
    assert lr == pytest.approx(0.05) if schedule == "constant" else lr < 0.01


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_biases_learn_by_the_factor_and_decay_as_the_others(optimizer):
    """One step from a gradient of nothing is the decay alone, of ones the step and the decay."""
    arguments = {"optimizer": optimizer, "lr": 0.1, "weight_decay": 0.05, "momentum": 0.0}
    steps = {}
    for gradient in (0.0, 1.0):
        for factor in (1.0, 8.0):
            module = Ensemble(10, (1, 8, 8), arch="cnn", bias_lr_factor=factor, **arguments)
            module.configure_model()
            for parameter in module.parameters():
                parameter.data.fill_(1.0)
                parameter.grad = torch.full_like(parameter, gradient)
            module.optimizer_of_all().step()
            weights = module.pack.network_weights(3)
            names = ("body.0.weight", "body.1.weight", "body.1.bias")
            steps[gradient, factor] = [1 - weights[name].mean().item() for name in names]
    for factor in (1.0, 8.0):
        assert steps[0.0, factor] == pytest.approx([0.005] * 3, abs=1e-6)
        assert steps[1.0, factor] == pytest.approx([0.105] * 2 + [0.1 * factor + 0.005], abs=1e-6)


def test_a_factor_of_one_is_the_optimizer_and_the_identity_of_before():
    module = Ensemble(10, (1, 8, 8), arch="mlp")
    module.configure_model()
    (group,) = module.optimizer_of_all().param_groups
    assert all(a is b for a, b in zip(group["params"], module.parameters(), strict=True))
    assert module.identity().keys() == {
        *("arch", "arch_args", "randomness", "seed", "loss", "label_smoothing"),
        *("optimizer", "lr", "momentum", "weight_decay", "schedule"),
    }
    other = Ensemble(10, (1, 8, 8), bias_lr_factor=2.0, test_views=2).identity()
    assert (other["bias_lr_factor"], other["test_views"]) == (2.0, 2)
    for factor in (0.0, float("nan")):
        with pytest.raises(ValueError, match=f"must be a number above 0, got {factor}"):
            Ensemble(10, (1, 8, 8), bias_lr_factor=factor)


def test_the_triangular_schedule_by_hand():
    module = Ensemble(10, (1, 8, 8), arch="mlp", lr=2.0, schedule="triangular", bias_lr_factor=3.0)
    module.configure_model()
    optimizer = module.optimizer_of_all()
    scheduler = module.optimization.make_scheduler(optimizer, 200)
    rates = []
    for _ in range(200):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    rates = np.array(rates)
    assert np.allclose(rates[:, 1], 3 * rates[:, 0])
    # 0.4 at step 0, 2 at step 46, 0.14 at step 200, lines between
    assert np.allclose(rates[[0, 23, 46, 123, 199], 0], [0.4, 1.2, 2.0, 1.07, 0.14 + 1.86 / 154])


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="and model.width must be at least 1, got 0, "):
        Ensemble(10, (1, 8, 8), members=0)


def test_evaluation_logits_are_float32_under_bf16():
    module = Ensemble(10, (1, 8, 8), arch="mlp", members=2)
    module.configure_model()
    batch = (torch.randn(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64), torch.arange(5))
    exact = module.test_step(batch, 0)["logits"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = module.test_step(batch, 0)["logits"]
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    assert np.isfinite(found.detach().numpy()).all()


def test_weights_of_another_network_are_refused():
    module = Ensemble(10, (1, 8, 8), arch="mlp", members=2)
    module.configure_model()
    weights = module.pack.network_weights(1)
    module.pack.load(0, weights)
    assert all(torch.equal(v, weights[k]) for k, v in module.pack.network_weights(0).items())
    with pytest.raises(
        ValueError, match="1 differ, the first is 'fc.bias': \\(10,\\) in the network"
    ):
        module.pack.load(0, {k: v for k, v in weights.items() if k != "fc.bias"})
    with pytest.raises(
        ValueError, match="1 differ, the first is 'fc.bias': .*\\(9,\\) in the weights"
    ):
        module.pack.load(0, weights | {"fc.bias": torch.zeros(9)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_a_rank_without_members_stays_on_its_device(monkeypatch, dtype):
    """On `meta`, which stands for a GPU: a tensor that is left on the CPU is refused."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta has none
    strategy = SimpleNamespace(root_device=torch.device("meta"))
    monkeypatch.setattr(Ensemble, "trainer", SimpleNamespace(strategy=strategy))
    module = Ensemble(10, (1, 8, 8), arch="mlp", width=8)
    module.assign(())
    module.configure_model()
    module.to("meta")
    input = torch.zeros(0, 4, 1, 8, 8, dtype=dtype, device="meta")
    target = torch.zeros(0, 4, dtype=torch.int64, device="meta")
    module.on_train_epoch_start()
    loss = module.training_step((input, target, target), 0)
    loss.backward()
    assert (loss.shape, loss.device.type) == ((), "meta")
    assert module.loss_sum.device.type == "meta"
    module.on_load_checkpoint(
        {
            "loss_sum": torch.zeros(0),
            "passes": 1,
            "loops": {"fit_loop": {
                "epoch_loop.batch_progress": {"is_last_batch": True},
                "epoch_progress": {"current": {"processed": 1}},
            }},
        }
    )  # fmt: skip
    assert module.loss_sum.device.type == "meta"
    index = torch.arange(4, device="meta")
    found = module.test_step((input.new_zeros(4, 1, 8, 8), index, index), 0)
    assert found["logits"].shape == (0, 4, 10)
    assert found.pop("member").device.type == "cpu"  # ids stay on the host
    assert {tensor.device.type for tensor in found.values()} == {"meta"}
