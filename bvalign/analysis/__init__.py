"""Mathematics of predictions: per-sample decompositions, and summaries of a whole ensemble.

Data flow: `block_values.py` computes a range of samples, `collect.py` joins the ranges,
`labelled.py` runs both passes and all fits, `sample_table.py` and `summary.py` hold the results;
`label_free.py` and `unlabelled.py` do the same without labels.
"""
