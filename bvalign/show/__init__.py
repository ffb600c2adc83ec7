"""Figures, the report, Lightning callbacks and loggers."""
