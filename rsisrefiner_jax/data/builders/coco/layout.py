"""COCO annotations of your own pictures."""

from rsisrefiner_jax.data.builders.own_data import own_layout

LAYOUT = own_layout("coco", "IMAGES_DIR,ANNOTATIONS.json")
