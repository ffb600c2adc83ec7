"""The run directory: what is kept of members in training and of finished ones."""
