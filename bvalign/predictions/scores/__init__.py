"""Scores as any file holds them, and the arrays that they come from."""
