"""Examines a data set file by file and names what is wrong with it.

    python -m rsisrefiner_jax.data.doctor coco:images,instances.json

A *set* (coco_set.py, folder_set.py) is what lies on the disk, read without trusting any of it. A
*check* (coco_checks.py, folder_checks.py) is a function from a set to findings; a new one is one
function under `@check`. A *trap* (traps.py) is a known way for data to be wrong, with its way out.
The *census* counts what training and evaluation get, through the same sources as they use.
"""
