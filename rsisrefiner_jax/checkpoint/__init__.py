"""Checkpoints: those of a run, a network loaded from one, and its weights alone."""
