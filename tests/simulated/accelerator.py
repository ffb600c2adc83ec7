"""The simulated device as Lightning sees it."""

from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.accelerators import Accelerator, AcceleratorRegistry
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import SingleDeviceStrategy, StrategyRegistry

from bvalign.ensemble.stopping import StopRequest
from tests.simulated.device import COUNTS, MEMORY, NAME, install


class SimulatedAccelerator(Accelerator):
    """One device for each rank, `simulated:0` in its process; autograd in Python has no other.

    `--trainer.strategy=simulated` is a single one, as Lightning would take the CPU there.
    """

    def setup_device(self, device: torch.device) -> None:
        """Does nothing: there is one."""

    def setup(self, trainer: Trainer) -> None:
        """Has autocast work on the device: Lightning takes CUDA for any that is not its own."""
        if isinstance(trainer.precision_plugin, MixedPrecision):
            trainer.precision_plugin.device = NAME

    def teardown(self) -> None:
        """Nothing is left to do."""

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {"live_bytes": MEMORY.live_bytes()}

    @staticmethod
    def parse_devices(devices: int | str | list[int]) -> list[int]:
        return devices if isinstance(devices, list) else list(range(int(devices)))

    @staticmethod
    def get_parallel_devices(devices: list[int]) -> list[torch.device]:
        return [torch.device(NAME, 0) for _ in devices]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME


class Waves(Callback):
    """Notes the memory in use around the training of each wave; the first one starts the counts."""

    live_bytes: ClassVar[list[tuple[int, int]]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            if not self.live_bytes:
                COUNTS.clear()  # of the trial, which makes as many steps as fit into its time
            self.before = MEMORY.live_bytes()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.live_bytes.append((self.before, MEMORY.live_bytes()))


class StopInEpoch(Callback):
    """Asks a run to stop, as SIGTERM does, when an epoch begins; it stops after a batch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            next(one for one in trainer.callbacks if isinstance(one, StopRequest)).asked = True


def register() -> None:
    """Registers the device with PyTorch and with Lightning."""
    install()
    AcceleratorRegistry.register(NAME, SimulatedAccelerator, description="a device for tests")
    single = {"device": torch.device(NAME, 0)}
    StrategyRegistry.register(NAME, SingleDeviceStrategy, "one simulated device", **single)
