"""A georeferenced raster with polygons."""

from rsisrefiner_jax.data.builders.own_data import own_layout

LAYOUT = own_layout("geo", "RASTER.tif,VECTORS.gpkg")
