"""Evaluation by simulated clicks: results, their intervals, comparisons and reports."""
