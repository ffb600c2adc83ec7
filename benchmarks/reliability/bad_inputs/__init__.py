"""A grammar of bad input: kinds are pairs of a target and a fault, each made anew."""
