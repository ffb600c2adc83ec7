"""bvalign: how bias and variance of an ensemble align, sample by sample."""

from importlib import import_module

from bvalign.moved import follow_old_names

__version__ = "0.1.0"

follow_old_names()

_PUBLIC = {
    "AlignmentScatter": "bvalign.show.callbacks.alignment_scatter",
    "BiasVariance": "bvalign.analysis.decompositions.metrics",
    "CollectLogits": "bvalign.show.callbacks.collect_logits",
    "CrossEntropyBiasVariance": "bvalign.analysis.decompositions.metrics",
    "ZeroOneBiasVariance": "bvalign.analysis.decompositions.metrics",
    "Ensemble": "bvalign.ensemble.module",
    "Predictions": "bvalign.predictions",
    "Randomness": "bvalign.randomness",
    "RunDirectory": "bvalign.predictions",
    "SaveMembers": "bvalign.ensemble.saving",
    "analyze": "bvalign.commands.analyze",
    "open_predictions": "bvalign.predictions",
    "write_report": "bvalign.show.report.write",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604 (names found by __getattr__)


def __getattr__(name: str) -> object:
    """Imports a public name when it is first used, so that `import bvalign` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bvalign' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
