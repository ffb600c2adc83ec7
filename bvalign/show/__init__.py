"""Figures, callbacks and the report."""
