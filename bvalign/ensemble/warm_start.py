"""Members that begin with the weights of a trained one, all but those of the last layer."""

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MethodType

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass(frozen=True)
class WarmStart:
    """Weights that all members begin with; the last layer is each member's own, as ever.

    Args:
        weights: file of a finished member, `RUN/members/0000/weights.safetensors`, with a network
            of the same `arch`; its classes may be others. None begins with random weights.
        frozen: train the last layer alone. All before it stays in evaluation mode, also batch norm
            and dropout, and does not change.

    Raises:
        ValueError: `frozen` without weights.
    """

    weights: str | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        if self.frozen and self.weights is None:
            raise ValueError(
                "model.warm_start.frozen=true needs --model.warm_start.weights=FILE, or random "
                "weights would stay as they are"
            )

    def identity(self) -> dict[str, object]:
        """What decides the members' weights: a hash of the file, wherever it lies."""
        return {"weights": self._digest, "frozen": self.frozen}

    def apply(self, network: nn.Module) -> None:
        """Loads the weights into a fresh network, whose last layer stays as it is.

        Args:
            network: has `get_classifier`, as all timm networks do.

        Raises:
            ValueError: there is no such file, it does not hold the weights of this architecture,
                or the network has not one last layer.
        """
        if self.weights is None:
            return
        head = getattr(network, "get_classifier", lambda: None)()
        if not isinstance(head, nn.Linear):
            raise ValueError(
                "model.warm_start needs a network whose get_classifier() is its last linear layer, "
                f"got {type(network).__name__} with {type(head).__name__}"
            )
        (name,) = (name for name, module in network.named_modules() if module is head)
        own = {f"{name}.{key}" for key in head.state_dict()}
        here, there = network.state_dict(), self._read()
        self._check(
            {key: tensor for key, tensor in here.items() if key not in own},
            {key: tensor for key, tensor in there.items() if not key.startswith(f"{name}.")},
        )
        network.load_state_dict({**there, **{key: here[key] for key in own}})
        if self.frozen:
            freeze_before(network, head)

    def _check(self, here: dict[str, Tensor], there: dict[str, Tensor]) -> None:
        for key in sorted(here.keys() | there.keys()):
            shapes = [tuple(d[key].shape) if key in d else None for d in (here, there)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"model.warm_start.weights: '{key}' is {shapes[0]} in the network, {shapes[1]} "
                    f"in {self.weights}; it must be a member of the same --model.arch and width"
                )

    def _read(self) -> dict[str, Tensor]:
        self._digest  # noqa: B018 (it refuses a missing file)
        try:
            return load_file(self.weights)
        except SafetensorError as error:
            raise ValueError(
                f"model.warm_start.weights: {self.weights} is no intact safetensors file ({error})"
            ) from error

    @cached_property
    def _digest(self) -> str:
        try:
            with Path(self.weights).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        except OSError as error:
            raise ValueError(
                f"model.warm_start.weights: {self.weights} cannot be read ({error.strerror}); give "
                "RUN/members/0000/weights.safetensors of a finished member"
            ) from error


def freeze_before(network: nn.Module, head: nn.Module) -> None:
    """Leaves only `head` trainable, and all before it in evaluation mode for good."""
    # from Lightning, about what is meant to be so
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    network.requires_grad_(False)
    head.requires_grad_(True)
    for module in network.modules():
        if head not in module.modules() and module not in head.modules():
            module.train = MethodType(_evaluates, module)  # type: ignore[method-assign]
            module.eval()


def _evaluates(module: nn.Module, mode: bool = True) -> nn.Module:
    return nn.Module.train(module, False)
