"""From scores to `Predictions`: what they are meant to be, and whether they can be."""
