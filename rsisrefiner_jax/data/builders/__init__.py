"""One TFDS builder for each data set that `rsisrefiner_jax.data.prepare` can make ready.

A folder holds
    layout.py                 where the official files lie and what in them is an object
    NAME_dataset_builder.py   the TFDS builder and its description
and beside them is what all share.
"""
