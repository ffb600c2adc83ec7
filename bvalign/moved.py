"""Old module paths that users type or that stored runs contain, and the new paths.

Options such as `--trainer.callbacks+=MODULE.CLASS` and scripts keep working: importing an old path
gives the module of the new one.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "bvalign.analysis.metric": "bvalign.analysis.decompositions.metrics",
    "bvalign.analysis.statistics": "bvalign.analysis.decompositions.squared_loss",
    "bvalign.data.contract": "bvalign.data.datamodule",
    "bvalign.data.folder": "bvalign.data.image_folder",
    "bvalign.predictions.history": "bvalign.predictions.run.history",
    "bvalign.predictions.run_directory": "bvalign.predictions.run.directory",
    "bvalign.show.collapse_monitor": "bvalign.show.callbacks.neural_collapse",
    "bvalign.show.ensemble_figures": "bvalign.show.figures.members",
    "bvalign.show.members_progress": "bvalign.show.callbacks.progress",
    "bvalign.show.scatter": "bvalign.show.figures.scatter",
    "bvalign.show.wandb_run": "bvalign.show.loggers.wandb_run",
    "bvalign.training": "bvalign.commands.fit",
    "bvalign.waves": "bvalign.commands.waves",
}
"""Old module -> new module; old names stand nowhere else."""


def earliest(text: str) -> str:
    """Replaces each module path in a text by its oldest one, so that hashes of the text stay equal.

    >>> earliest("bvalign.show.figures.scatter.Panel")
    'bvalign.show.scatter.Panel'
    """
    for old, new in MOVED.items():
        text = text.replace(new, old)
    return text


class MovedModules(MetaPathFinder, Loader):
    """Imports modules under their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Accepts old names only."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Replaces the new, empty module by the module of the new name."""
        sys.modules[module.__name__] = import_module(MOVED[module.__name__])


def follow_old_names() -> None:
    """Makes old names importable; once for a process."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
