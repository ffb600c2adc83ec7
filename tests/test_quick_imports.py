"""Imports without garbage collections; tests/test_layout.py runs commands that import so."""

import gc

import pytest

from bvalign.quick_imports import quick_imports


def failing_import():
    with quick_imports():
        assert not gc.isenabled()
        raise ImportError


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_as_before_also_after_an_import_that_fails(collects):
    before, frozen = gc.isenabled(), gc.get_freeze_count()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ImportError):
            failing_import()
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()
    assert gc.get_freeze_count() == frozen  # torch has been imported before, by other tests
