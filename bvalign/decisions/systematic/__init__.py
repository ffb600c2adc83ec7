"""Systematic or chance? Errors that all members share, errors that some avoid, and groups."""

from bvalign.decisions.systematic.group_numbers import Group
from bvalign.decisions.systematic.result import Systematic, systematic_or_chance

__all__ = ["Group", "Systematic", "systematic_or_chance"]
