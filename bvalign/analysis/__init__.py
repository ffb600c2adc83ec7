"""Mathematics of predictions: per-sample decompositions, and what a whole ensemble says.

The way of the data: `block_values.py` computes a block of samples, `collect.py` joins the blocks,
`sample_table.py` makes them columns, `summary.py` fits and summarises; `unlabelled.py` does the
same where there are no labels.
"""
