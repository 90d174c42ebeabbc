"""What `train.py` and `eval.py` do. Other commands lie beside what they run; see `console.py`."""
