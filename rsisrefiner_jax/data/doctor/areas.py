"""Counting pixels by value."""

import numpy as np


def value_areas(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of `labels` (integers [h, w]), ascending, and how many pixels each has.

    As np.unique, but sorts runs of equal values instead of pixels: label pictures have few.
    """
    flat = labels.ravel()
    starts = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], starts])[: flat.size]
    values, run = np.unique(flat[starts], return_inverse=True)
    lengths = np.diff(starts, append=flat.size)
    return values, np.bincount(run, lengths, len(values)).astype(np.int64)
