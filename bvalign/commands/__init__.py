"""The commands: the only package that joins all the others."""
