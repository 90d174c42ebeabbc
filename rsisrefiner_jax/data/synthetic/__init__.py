"""Procedural overhead scenes with instance masks, drawn on the fly from a seed.

Read in this order: source.py (the data set), layouts.py (the kinds of scene), towns.py, country.py,
industry.py and shared_features.py (what lies where), objects.py and structures.py (how one thing is
drawn), canvas.py (how anything is drawn), terrain.py (palettes, textures, trees), camera.py (the
sensor).
"""

from rsisrefiner_jax.data.synthetic.source import SyntheticSource

__all__ = ["SyntheticSource"]
