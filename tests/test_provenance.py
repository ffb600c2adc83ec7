"""What a run records of the software behind it."""

from pathlib import Path

from bvalign import provenance


def commit():
    return provenance.provenance()["commit"]


def test_no_commit_is_recorded_where_git_is_not_installed(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() is None


def test_the_commit_of_another_checkout_is_not_taken_for_ones_own(monkeypatch):
    """As in an environment that lies in the checkout of somebody's project."""
    monkeypatch.setattr(
        provenance, "__file__", str(Path(provenance.__file__).parent / "analysis" / "x.py")
    )
    assert commit() is None
