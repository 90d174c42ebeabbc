"""Data sets of any kind as scenes, and training samples drawn from them."""
