"""Plan `triton`: convolutions of all members in Triton, which is imported when they run."""

from bvalign.ensemble.triton_conv.plan import Triton

__all__ = ["Triton"]
