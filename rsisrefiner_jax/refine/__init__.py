"""Whole layers refined: points, boxes or rough polygons become outlines along what a raster shows.

layer reads the prompts, placing puts them on rasters and into blocks, correction says where to
click without a person, refiner asks the network, journal keeps what is finished, local and
on_ray are the two engines, output writes the layer. `docs/refine.md` is for those who use it.
"""

KEEP_BELOW = 0.5  # IoU with its answer below which a polygon stays as it was drawn
