"""Our networks in timm: once this is imported, `timm.create_model("resnet20_cifar")` makes one."""

from collections.abc import Callable

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from bvalign.ensemble.networks import OWN

default_cfgs = generate_default_cfgs({name: {"classifier": "fc"} for name in OWN})


def _register(name: str) -> Callable[..., nn.Module]:
    def entrypoint(pretrained: bool = False, **kwargs: object) -> nn.Module:
        return build_model_with_cfg(OWN[name], name, pretrained, **kwargs)

    entrypoint.__name__, entrypoint.__module__ = name, __name__
    return register_model(entrypoint)


# timm looks up entry points as attributes of this module
globals().update({name: _register(name) for name in OWN})
