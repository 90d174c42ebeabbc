"""Your own pictures with id masks."""

from rsisrefiner_jax.data.builders.own_data import own_layout

LAYOUT = own_layout("instances", "IMAGES_DIR,MASKS_DIR")
