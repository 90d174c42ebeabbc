"""How fast it is: `python -m benchmarks.evaluate`, `.click` and `.train`; each prints a table.

Every row states its fraction of the limit: counted operations over what the machine's own matrix
product reaches in the same run.
"""
