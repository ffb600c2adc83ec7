"""The page on which suspicious labels are reviewed."""
