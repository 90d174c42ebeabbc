"""The annotator: a server for clicking objects on rasters of any size, and the page it serves.

python -m rsisrefiner_jax.annotate scene.tif
"""
