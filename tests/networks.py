"""Small networks of every kind, ensembles of them and a few steps of their training."""

import timm
import torch
from lightning.pytorch import Trainer
from torch import nn

from bvalign import Ensemble
from bvalign.ensemble.plans import random_input

VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3}
TEXT = "bvalign.ensemble.transformer.Transformer"
NETWORKS = {
    "mlp": {"arch": "mlp", "width": 8},
    "cnn": {"arch": "cnn", "width": 4},
    "resnet8": {"arch": "resnet8_cifar", "width": 4},
    "whitened": {"arch": "whitened_cnn", "arch_args": {"widths": [4, 6]}},
    "timm": {"arch": "tests.networks.small_resnet"},
    "vit": {"arch": "vit_tiny_patch16_224", "arch_args": VIT},
    "groupnorm": {"arch": "tests.networks.grouped"},
    "text": {"arch": TEXT, "image_shape": (50, 1, 7), "arch_args": {"img_size": (1, 7)}},
}


def grouped(num_classes, in_chans):
    """Grouped convolution, group norm, no bias, and no linear layer at the end."""
    return nn.Sequential(
        nn.Conv2d(in_chans, 4, 3, bias=False),
        nn.GroupNorm(2, 4),
        nn.GELU(),
        nn.Conv2d(4, 2 * num_classes, 3, stride=2, groups=2, padding="valid"),
        nn.SiLU(),
        nn.Conv2d(2 * num_classes, num_classes, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def small_resnet(num_classes, in_chans):
    """A timm network with downsampling shortcuts and a stem of its own."""
    return timm.models.resnet.ResNet(
        timm.models.resnet.BasicBlock,
        (1, 1, 1, 1),
        num_classes=num_classes,
        in_chans=in_chans,
        channels=(4, 8, 8, 8),
        stem_width=4,
    )


def mixing(num_classes, in_chans):
    """A softmax over channels: right alone, wrong once members lie side by side."""
    return nn.Sequential(
        nn.Conv2d(in_chans, 4, 3), nn.Softmax(dim=1), nn.Flatten(), nn.Linear(144, num_classes)
    )


def dropping(num_classes, in_chans):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, num_classes))


def drawing(num_classes, in_chans):
    """Draws random numbers without a module that says so."""

    class Noise(nn.Module):
        def forward(self, input):
            return input + torch.rand_like(input)

    return nn.Sequential(nn.Flatten(), Noise(), nn.Linear(64, num_classes))


def ensemble(plan, arch="mlp", members=(4, 1, 7), image_shape=(1, 8, 8), **arguments):
    arguments = {"members": 8, "lr": 0.05, "weight_decay": 5e-3, "schedule": "constant"} | arguments
    module = Ensemble(10, image_shape, arch=arch, plan=plan, **arguments)
    module.assign(members)
    module.configure_model()
    return module


def batches(module, steps, batch=16, dtype=torch.float64):
    # the last maps are 1 x 1: batch norm over 4 numbers would amplify rounding 100,000-fold
    generator = torch.Generator().manual_seed(1)
    members = len(module.members)
    network = module.pack.network(module.members[0])
    input = random_input(network, (steps, members, batch), module.image_shape)
    target = torch.randint(10, (steps, members, batch), generator=generator)
    return zip(input.to(dtype) if input.is_floating_point() else input, target, strict=True)


def trained(module, steps, device="cpu"):
    """The module after SGD steps with momentum and weight decay in float64, and its optimizer."""
    module.double().to(device).train()
    module.on_train_epoch_start()
    optimizer = module.optimizer_of_all()
    for input, target in batches(module, steps):
        optimizer.zero_grad()
        module.training_step((input.to(device), *[target.to(device)] * 2), 0).backward()
        optimizer.step()
    return module, optimizer


def quiet_trainer(**arguments):
    return Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        **arguments,
    )


def normed(num_classes, in_chans):
    """BatchNorm over vectors."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, num_classes)
    )


def three(num_classes, in_chans):
    """Logits of three classes, whatever the data has."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
