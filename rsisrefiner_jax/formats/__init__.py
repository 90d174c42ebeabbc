"""Files of other programs: what may be opened, and by which part of GDAL.

Every raster and vector file is opened here, and nowhere else by GDAL's own guess: a file that is a
list of other files, of addresses or of programs is not followed, whatever its name says.
"""
