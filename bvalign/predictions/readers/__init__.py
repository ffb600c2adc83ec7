"""Anybody's predictions: a file or a folder of members becomes `Predictions`."""
