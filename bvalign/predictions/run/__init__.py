"""The run directory: checkpoints and results of its members, and claims on their packs."""

from bvalign.predictions.run.claims import Work, one_at_a_time, settle_plan
from bvalign.predictions.run.directory import RunDirectory
from bvalign.predictions.run.history import Curves, training_curves
from bvalign.predictions.run.identity import flatten
from bvalign.predictions.run.member import FinishedMember, MemberFolder, MemberState
from bvalign.predictions.run.overwrite import remove_run
from bvalign.predictions.run.own_directory import own_directory
from bvalign.predictions.run.samples import Samples, Split

__all__ = [
    "Curves",
    "FinishedMember",
    "MemberFolder",
    "MemberState",
    "RunDirectory",
    "Samples",
    "Split",
    "Work",
    "flatten",
    "one_at_a_time",
    "own_directory",
    "remove_run",
    "settle_plan",
    "training_curves",
]
