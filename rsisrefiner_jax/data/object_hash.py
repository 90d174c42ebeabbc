"""A hash of a list of objects: two evaluations with the same hash saw the same objects."""

import hashlib
from collections.abc import Iterable


def object_hash(objects: Iterable[tuple[str, int, int]]) -> str:
    """Identifies a list of objects, in order: "sha256:..." over (image, object id, area).

    area: pixels of the object that are not ignored; objects without any do not count.
    """
    digest = hashlib.sha256()
    for image, object_id, area in objects:
        digest.update(f"{image}\t{object_id}\t{area}\n".encode())
    return f"sha256:{digest.hexdigest()}"
