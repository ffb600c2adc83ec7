"""The main results of a comparison in sentences."""

from collections.abc import Iterator, Mapping

from bvalign.show.report.comparison.tables import Differences

BEST = {"accuracy": (max, "Highest accuracy"), "risk": (min, "Lowest risk of a member")}
