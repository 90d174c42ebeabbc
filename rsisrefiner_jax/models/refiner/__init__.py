"""RS-ISRefiner (paper section III), a part a file; `network.py` assembles them."""
