"""Files of other programs, read and written by one set of rules for training and the annotator.

Opening files safely: kinds, rasters, remote, vectors, geojson, geopackage, crs, archive,
safe_names, offline. Every raster and vector file is opened here, and nowhere else by GDAL's own
guess: a file that is a list of other files, of addresses or of programs is not followed, whatever
its name says.

Objects: region (what an object is), masks and geometry (its pixels and its outline; packing: those
of many objects at once), outlines, rings, layers, georeference and control_points (where it lies).

Formats: coco, coco_entries and coco_masks; label_file, label_image, label_regions and label_writing
(ids and classes as pixels); features, polygons and vector_writing; yolo and yolo_data_set.
file_by_name says which file a name means, left_out counts what cannot be used.
"""
