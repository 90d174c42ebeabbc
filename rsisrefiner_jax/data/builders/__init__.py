"""What `rsisrefiner_jax.data.prepare` makes ready: a module for each official data set.

Each says where the official files lie, what in them is an object, and whose the data are;
own_data.py is for data of one's own, and beside them is what all share.
"""
