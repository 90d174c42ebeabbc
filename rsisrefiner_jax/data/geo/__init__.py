"""Georeferenced rasters with vector polygons: the data SPEC `geo:RASTER.tif,VECTORS.gpkg`."""

from rsisrefiner_jax.data.geo.source import GeoSource

__all__ = ["GeoSource"]
