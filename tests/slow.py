"""What `make test` leaves to `make test-slow`: all of many alike cases but a few."""

import pytest


def mostly_slow(cases, *, quick):
    """The cases, for parametrize; `make test` runs only those that are named as quick."""
    return [case if case in quick else _slow(case) for case in cases]


def _slow(case):
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
