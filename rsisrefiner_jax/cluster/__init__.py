"""A run of several processes: how they join, stop together and notice that one is gone."""
