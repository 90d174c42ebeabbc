"""Your own pictures with class masks."""

from rsisrefiner_jax.data.builders.own_data import own_layout

LAYOUT = own_layout("classes", "IMAGES_DIR,MASKS_DIR,class=2")
