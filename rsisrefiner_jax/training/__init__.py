"""Training by simulated clicks: the step, what it optimizes and minimizes, and what it logs."""
