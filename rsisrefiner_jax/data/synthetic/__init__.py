"""Procedural overhead scenes with instance masks, drawn on the fly from a seed.

Read in this order: source.py (the data set), layouts.py (what lies where), objects.py and
structures.py (how one thing is drawn), canvas.py (how anything is drawn), terrain.py (palettes,
textures, trees), camera.py (what the sensor does to the picture).
"""

from rsisrefiner_jax.data.synthetic.source import SyntheticSource

__all__ = ["SyntheticSource"]
