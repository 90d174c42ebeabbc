"""A network as files that other programs run."""
