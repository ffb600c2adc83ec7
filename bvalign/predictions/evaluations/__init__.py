"""Scores from logs of language-model evaluations."""
