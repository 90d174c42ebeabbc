"""Pictures made on the fly, kept as files."""

from rsisrefiner_jax.data.builders.own_data import own_layout

LAYOUT = own_layout(
    "synthetic", "train, val or test, with @SIZE if wanted; take --limit, it has 100 000 pictures"
)
