"""Scores from tables: which column is what, and which row belongs to whom."""
