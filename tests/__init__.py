"""Tests, and beside them what several of them share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
VALUES = Path(__file__).resolve().parent / "values"
"""Expectations to 36 digits, computed with mpmath: `ensembles.json` and `collapse.json`."""
