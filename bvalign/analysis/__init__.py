"""Mathematics of predictions: per-sample decompositions, and summaries of a whole ensemble.

Data flow: `block_values.py` computes a block of samples, `collect.py` joins the blocks,
`sample_table.py` turns them into columns, `summary.py` fits and summarises; `unlabelled.py` does
the same without labels.
"""
