"""Module paths of earlier versions that people type or that stored runs hold, and their new places.

Options such as `--trainer.callbacks+=MODULE.CLASS` and scripts keep working: the old name leads to
the very module of the new one.
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
"""Old module -> new module; the only place where an old name lives."""


def earliest(text: str) -> str:
    """Names each module of a text by its earliest path, so that a hash of the text stays.

    >>> earliest("bvalign.show.figures.scatter.Panel")
    'bvalign.show.scatter.Panel'
    """
    for old, new in MOVED.items():
        text = text.replace(new, old)
    return text


class MovedModules(MetaPathFinder, Loader):
    """Imports a module under its old name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The old names only."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Puts the module of the new name in the place of the empty one that was made."""
        sys.modules[module.__name__] = import_module(MOVED[module.__name__])


def follow_old_names() -> None:
    """Makes old names importable; once for a process."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
