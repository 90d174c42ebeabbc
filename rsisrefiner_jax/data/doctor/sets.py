"""From a data SPEC to what lies on the disk."""

from rsisrefiner_jax.data.doctor.coco_set import CocoSet, read_coco
from rsisrefiner_jax.data.doctor.folder_set import FolderSet, read_folders
from rsisrefiner_jax.data.spec import split_spec


def read_set(spec: str) -> CocoSet | FolderSet | None:
    """The files behind a SPEC, all of them read; None for kinds that are only read as scenes.

    Raises:
        UserError: a SPEC of these kinds that misses a part, or folders without files.
    """
    kind, _, argument = spec.strip().partition(":")
    if kind not in ("coco", "instances", "classes"):
        return None
    first, second, _ = split_spec(kind, argument)
    if kind == "coco":
        return read_coco(first, second)
    return read_folders(kind, first, second)
