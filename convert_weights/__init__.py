"""PyTorch checkpoints to this project's weights, without PyTorch: `python -m convert_weights`."""
