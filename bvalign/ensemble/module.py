"""The LightningModule that trains a pack of members."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices

from bvalign.data.loader import EvalBatch
from bvalign.ensemble.data_weights import weights_of_data
from bvalign.ensemble.features import LastLayer, last_layer
from bvalign.ensemble.losses import Loss
from bvalign.ensemble.optimization import Optimization, OptimizerName, Schedule
from bvalign.ensemble.pack import initial_network
from bvalign.ensemble.plans import make_pack
from bvalign.ensemble.stepping import Stepping
from bvalign.ensemble.views import Views, averaged
from bvalign.ensemble.warm_start import WarmStart
from bvalign.float32 import ieee_float32
from bvalign.randomness import Randomness, Streams


class Ensemble(Stepping):
    """An ensemble of independently trained members, of which one pack is held at a time.

    The loss is the sum over members of each member's batch mean, so each member gets the gradient
    that it would get alone; SGD and AdamW update every number separately, so its weights are too.

    Args:
        num_classes: number of classes; the CLI takes it from the data.
        image_shape: (channels, height, width) of one input; the CLI takes it from the data.
        arch: `mlp`, `cnn`, `resnet8_cifar` ... `resnet110_cifar`, `whitened_cnn`, any timm name, or
            the dotted path of your own callable.
        width: hidden units of `mlp`, channels of the first layer of the others; by default the
            network's own. For timm's networks use arch_args.
        arch_args: further arguments of the network.
        members: size of the ensemble; a later run may increase it.
        pack_size: members trained side by side, the unit of work that is claimed and saved.
        plan: how a pack is computed, never what is computed: `sequential` runs one network after
            another, `packed` one kernel per layer for all members, `vmap` the same by torch.func,
            `triton` (CIFAR ResNets on an NVIDIA GPU) in kernels with batch norm and ReLU inside.
            `auto` times them when `fit` starts a run; it is `sequential` in one too short for that,
            and without a run directory.
        graph: `auto` has a CUDA GPU repeat whole training steps as CUDA graphs wherever it can, and
            the line about the plan says where it cannot and why; `off` does not.
        compile: train through torch.compile, under plan `sequential`, which `auto` then means, or
            `packed`. It takes half a minute or more at the start and needs a C++ compiler (CPU) or
            Triton (GPU); a step of ResNet-8 or -20 then takes a sixth less under `sequential`
            (batch 128, one CPU thread).
        randomness: sources of randomness that differ between members.
        warm_start: weights that all members begin with; random ones by default.
        seed: of all random streams; the CLI takes it from --seed_everything.
        optimizer: `sgd` with Nesterov momentum, or `adamw`.
        lr: peak learning rate.
        momentum: of SGD.
        weight_decay: L2 penalty (sgd) or decoupled decay (adamw), on all weights.
        schedule: `onecycle` rises over the first 30% of the steps and then falls, both as a cosine,
            `cosine` falls from the start, `triangular` rises from 0.2 of the peak over 23% of the
            steps and falls to 0.07 of it, both linearly, `constant` stays.
        loss: `cross_entropy`, or `squared_error` of the probabilities (Brier score).
        bias_lr_factor: learning rate of biases, that of the other parameters being one. Their
            weight decay is divided by it, so that both decay by the same fraction in a step.
        lookahead: steps of SGD after which the weights become a running average of themselves, over
            longer and longer times (Lookahead); 0 for never.
        label_smoothing: fraction of the label's probability spread over all classes, in [0, 1).
        test_views: views of each test image whose logits are averaged: 2 adds the mirror image, 6
            also both of two shifts by a pixel (reflected), which together weigh as much.
        on_diverged: what to do with a member whose training loss is non-finite: `drop` leaves it
            out, `retry` trains it again with other random numbers, at most twice, `stop` ends the
            run. It never affects the other members.
    """

    of_data: Mapping[str, Tensor] | None = None  # weights that all members begin with

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int],
        arch: str = "cnn",
        width: int | None = None,
        arch_args: dict[str, object] | None = None,
        members: int = 8,
        pack_size: int = 8,
        plan: Literal["auto", "sequential", "packed", "vmap", "triton"] = "auto",
        graph: Literal["auto", "off"] = "auto",
        compile: bool = False,
        randomness: Randomness = Randomness(),  # noqa: B008 (frozen)
        warm_start: WarmStart = WarmStart(),  # noqa: B008 (frozen)
        seed: int = 0,
        optimizer: OptimizerName = "sgd",
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        schedule: Schedule = "onecycle",
        bias_lr_factor: float = 1.0,
        lookahead: int = 0,
        loss: Loss = "cross_entropy",
        label_smoothing: float = 0.0,
        test_views: Views = 1,
        on_diverged: Literal["drop", "retry", "stop"] = "drop",
    ) -> None:
        super().__init__()
        if None in (members, pack_size) or min(members, pack_size, width or 1) < 1 or width == 0:
            raise ValueError(
                "model.members, model.pack_size and model.width must be at least 1, got "
                f"{members}, {pack_size} and {width}"
            )
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"model.label_smoothing must lie in [0, 1), got {label_smoothing}")
        if compile and plan in ("vmap", "triton"):
            raise ValueError(
                f"model.compile=true needs --model.plan=sequential or packed, got {plan}"
            )
        self.num_classes, self.image_shape, self.arch = num_classes, tuple(image_shape), arch
        self.arch_args = dict(arch_args or {}) | ({} if width is None else {"width": width})
        self.num_members, self.pack_size = members, pack_size
        self.plan = "sequential" if compile and plan == "auto" else plan
        self.graph, self.compiled = graph, compile
        self.streams, self.warm_start = Streams(seed, randomness), warm_start
        self.optimization = Optimization(
            optimizer, lr, momentum, weight_decay, schedule, bias_lr_factor, lookahead
        )
        self.loss, self.label_smoothing = loss, label_smoothing
        self.test_views, self.on_diverged = test_views, on_diverged
        self.assign(range(members))

    def assign(self, members: Sequence[int], attempts: Mapping[int, int] | None = None) -> None:
        """Drops the current pack; the next fit trains these members from the start.

        Args:
            members: global ids; none for a rank that only joins in collective calls.
            attempts: failed attempts of each member so far.
        """
        self.members = tuple(members)
        self.streams = replace(self.streams, attempts=dict(attempts or {}))
        self.diverged: set[int] = set()
        self.start, self.passes = (0, 0), 0
        self.pack = self.whole_steps = None

    def sound_members(self) -> list[int]:
        """Members whose training has not diverged."""
        return [member for member in self.members if member not in self.diverged]

    def identity(self) -> dict[str, object]:
        """Settings that determine a trained member."""
        return {
            "arch": self.arch,
            "arch_args": dict(sorted(self.arch_args.items())),
            "randomness": self.streams.randomness.identity(),
            "seed": self.streams.seed,
            **self.optimization.identity(),
            "loss": self.loss,
            "label_smoothing": self.label_smoothing,
            **({"warm_start": self.warm_start.identity()} if self.warm_start.weights else {}),
            **({"test_views": self.test_views} if self.test_views > 1 else {}),
        }

    def configure_model(self) -> None:
        if self.pack is None:
            self.pack = make_pack(
                "sequential" if self.plan == "auto" or not self.members else self.plan,
                self.members,
                self.initial_network,
                self.image_shape,
                compiled=self.compiled,
            )

    def initial_network(self, member: int) -> torch.nn.Module:
        """A member before training: weights of its stream `init`, the data and a warm start."""
        seed, shape = self.streams.torch_seed("init", member), self.image_shape
        network = initial_network(seed, self.arch, self.num_classes, shape, self.arch_args)
        if self._trainer is not None and self.of_data is None:
            self.of_data = weights_of_data(network, self._trainer)
        if self.of_data:
            network.load_state_dict(self.of_data, strict=False)
        self.warm_start.apply(network)
        return network

    def forward(
        self, input: Num[Tensor, "members batch ..."]
    ) -> Float[Tensor, "members batch {self.num_classes}"]:
        """Logits of each member on its own inputs."""
        if not self.members:  # there is nothing to train
            return input.float().new_zeros(0, input.shape[1], self.num_classes, requires_grad=True)
        return self.pack(input)

    def last_layer(self, member: int, input: Num[Tensor, "samples ..."]) -> LastLayer:
        """Input and parameters of the last linear layer of one member."""
        return last_layer(self.pack.network(member), input)

    def test_step(self, batch: EvalBatch, batch_idx: int) -> dict[str, Tensor]:
        """Float32 logits (members, batch, classes) with the ids of members and samples."""
        input, target, index = batch
        with torch.autocast(self.device.type, enabled=False), ieee_float32():
            logits = averaged(self._of_members, input, self.test_views)
        if self.diverged:
            logits = logits[[self.members.index(member) for member in self.sound_members()]]
        member = torch.tensor(self.sound_members(), dtype=torch.int64)  # on the host, who asks
        return {"member": member, "index": index, "target": target, "logits": logits.float()}

    validation_step = predict_step = test_step

    def optimizer_of_all(self) -> torch.optim.Optimizer:
        """One optimizer over the pack, fused where possible, as many tensors are small."""
        return self.optimization.make_optimizer(self.named_parameters(), fused=self._may_fuse())

    def _of_members(
        self, input: Num[Tensor, "batch ..."]
    ) -> Float[Tensor, "members batch {self.num_classes}"]:
        return self(input.expand(len(self.members), *input.shape))

    def _may_fuse(self) -> bool:
        # Lightning cannot clip gradients of a fused optimizer under automatic mixed precision
        clips = self._trainer is not None and self._trainer.gradient_clip_val
        return self.device.type in _get_fused_kernels_supported_devices() and not clips
