"""A configuration trained, and a network evaluated: what train.py and eval.py do."""
