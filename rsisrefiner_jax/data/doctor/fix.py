"""Writes a repaired copy of a data set as COCO.

    DIR/images/           the pictures, byte for byte; true PNGs where a name lied
    DIR/instances.json    what can be used of the annotations
    DIR/fix.json          what was left out or changed, and why

Nothing is guessed: a picture that is broken, or of another size than its annotations, is left out.
"""

import dataclasses
import json
import os
import shutil
import tempfile
from collections import Counter
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from rsisrefiner_jax.data.doctor.coco_set import CocoSet, annotation_problem, image_problem
from rsisrefiner_jax.data.doctor.folder_set import FolderSet
from rsisrefiner_jax.data.doctor.pictures import Picture, name_lies
from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.data.spec import open_source, split_spec
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.formats.coco_entries import Entry, category_of, shared_ids
from rsisrefiner_jax.formats.coco_masks import polygon_parts
from rsisrefiner_jax.formats.label_file import further_layers
from rsisrefiner_jax.formats.left_out import Problem


@dataclasses.dataclass
class _Copy:
    """The copy while it is written."""

    folder: str
    images: list[Entry] = dataclasses.field(default_factory=list)
    annotations: list[Entry] = dataclasses.field(default_factory=list)
    categories: list[Entry] = dataclasses.field(default_factory=list)
    pictures_left_out: list[Entry] = dataclasses.field(default_factory=list)
    objects_left_out: list[Entry] = dataclasses.field(default_factory=list)
    changed: list[str] = dataclasses.field(default_factory=list)
    names: set[str] = dataclasses.field(default_factory=set)

    def add_picture(self, name: str, picture: Picture) -> int:
        """Copies a picture that can be read and lists it; returns its new image id."""
        name = self._free_name(name, picture)
        path = os.path.join(self.folder, "images", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if name_lies(picture):
            pixels = cv2.imread(picture.path, cv2.IMREAD_UNCHANGED)
            cv2.imwrite(path, np.asarray(pixels))
            self.changed.append(f"{name}: written as PNG, {picture.path} is a {picture.format}")
        else:
            shutil.copyfile(picture.path, path)
        height, width = picture.size or (0, 0)
        id = len(self.images) + 1
        self.images.append({"id": id, "file_name": name, "width": width, "height": height})
        return id

    def leave_out_picture(self, name: str, reason: str, objects: int | None = None) -> None:
        lost = {} if objects is None else {"objects": objects}
        self.pictures_left_out.append({"file": name, "reason": reason, **lost})

    def write(self, spec: str) -> str:
        """Writes the two JSON files; returns the SPEC of the copy."""
        annotations = os.path.join(self.folder, "instances.json")
        _write_json(
            annotations,
            {
                "images": self.images,
                "annotations": self.annotations,
                "categories": self.categories,
            },
        )
        _write_json(
            os.path.join(self.folder, "fix.json"),
            {
                "source": spec,
                "pictures": len(self.images),
                "objects": len(self.annotations),
                "pictures_left_out": self.pictures_left_out,
                "objects_left_out": self.objects_left_out,
                "changed": self.changed,
            },
        )
        return f"coco:{os.path.join(self.folder, 'images')},{annotations}"

    def _free_name(self, name: str, picture: Picture) -> str:
        """A name inside the new folder that is still free; it ends in .png if it has to."""
        name = os.path.normpath(name)
        if os.path.isabs(name) or name.startswith(".."):
            name = os.path.basename(name)
        stem, ending = os.path.splitext(name)
        ending = ".png" if name_lies(picture) else ending
        number, free = 1, stem + ending
        while free in self.names:
            number += 1
            free = f"{stem}_{number}{ending}"
        self.names.add(free)
        return free


def write_fixed(examined: CocoSet | FolderSet, spec: str, folder: str) -> str:
    """Writes the repaired copy into a new folder and returns the SPEC to use.

    Raises:
        UserError: the folder is not new, or nothing of the set can be used.
    """
    require(
        not os.path.lexists(folder) or (os.path.isdir(folder) and not os.listdir(folder)),
        f"--fix {folder}: the folder is there already; name a new one",
    )
    copy = _Copy(folder)
    if isinstance(examined, CocoSet):
        _copy_coco(examined, copy)
    else:
        _copy_folders(examined, spec, copy)
    require(
        bool(copy.annotations),
        f"--fix {folder}: nothing is left of {spec} that could be used; fetch it again",
    )
    return copy.write(spec)


def _copy_coco(coco: CocoSet, copy: _Copy) -> None:
    copy.categories, category_ids = _categories(coco)
    new_ids: dict[Any, int] = {}
    by_file: dict[str, int] = {}
    per_image = Counter(annotation["image_id"] for annotation in coco.annotations)
    ambiguous = shared_ids(coco.images)
    for image in tqdm(coco.images, "copying pictures", unit="file", leave=False):
        id, name, picture = image["id"], image["file_name"], coco.picture(image)
        problem = image_problem(image, picture)
        if problem is None and id in ambiguous:
            problem = Problem("image-id-twice", f"shares image id {id!r} with another picture")
        if problem:
            copy.leave_out_picture(name, f"{name} {problem.message}", per_image[id])
            continue
        if name not in by_file:
            by_file[name] = copy.add_picture(name, picture)
        new_ids[id] = by_file[name]
    sizes = {image["id"]: (image["height"], image["width"]) for image in copy.images}
    known = {image["id"] for image in coco.images}
    for annotation in coco.annotations:
        image_id = annotation["image_id"]
        if image_id not in new_ids:
            if image_id not in known:
                _leave_out(copy, annotation, f"image {image_id!r} is not in the image list")
            continue
        problem = annotation_problem(annotation, sizes[new_ids[image_id]])
        if problem:
            _leave_out(copy, annotation, problem.message)
            continue
        shape = annotation["segmentation"]
        if isinstance(shape, list):
            parts = polygon_parts(shape, sizes[new_ids[image_id]])
            if parts != shape:
                annotation = {**annotation, "segmentation": parts}
                copy.changed.append(
                    f"annotation {annotation['id']!r}: parts or numbers that make no point dropped"
                )
        copy.annotations.append(
            {
                **annotation,
                "image_id": new_ids[image_id],
                "category_id": category_ids[category_of(annotation)],
            }
        )
    ids = [annotation["id"] for annotation in copy.annotations]
    if len(set(ids)) < len(ids) or not all(isinstance(id, int) and id > 0 for id in ids):
        for number, annotation in enumerate(copy.annotations, start=1):
            annotation["id"] = number
        copy.changed.append("annotation ids: numbered from 1, since they were not distinct numbers")


def _categories(coco: CocoSet) -> tuple[list[Entry], dict[Any, Any]]:
    """The categories, unknown ones added, and the id of each by what annotations call it."""
    entries: dict[Any, Entry] = {item["id"]: item for item in coco.categories}
    ids: dict[Any, Any] = {id: id for id in entries}
    for annotation in coco.annotations:
        id = category_of(annotation)
        if id not in ids:
            ids[id] = _free_id(entries) if id is None else id
            name = "unknown" if id is None else f"category {id}"
            entries[ids[id]] = {"id": ids[id], "name": name}
    return list(entries.values()), ids


def _free_id(entries: dict[Any, Entry]) -> int:
    return max((id for id in entries if isinstance(id, int)), default=0) + 1


def _copy_folders(folders: FolderSet, spec: str, copy: _Copy) -> None:
    for finding in folders.unpaired:
        copy.leave_out_picture(os.path.basename(finding.file), finding.message)
    for pair in folders.pairs:
        problem = folders.pair_problem(*pair)
        if problem:
            copy.leave_out_picture(os.path.basename(pair[0]), problem.message)
    by_name = {os.path.basename(picture): picture for picture, _ in folders.sound_pairs()}
    with tempfile.TemporaryDirectory() as work:
        source = _source_of(folders, spec, work)
        ids: dict[str, int] = {}
        for index in tqdm(range(len(source)), "copying pictures", unit="file", leave=False):
            scene = source[index]
            picture = folders.pictures[by_name[scene.name]]
            image_id = copy.add_picture(scene.name, picture)
            regions = [(item.id, item.category, scene.mask(item), 0) for item in scene.objects]
            if scene.ignore.any():
                regions.append((0, "ignore", scene.ignore, 1))
            for source_id, category, mask, crowd in regions:
                rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
                copy.annotations.append(
                    {
                        "id": len(copy.annotations) + 1,
                        "image_id": image_id,
                        "category_id": ids.setdefault(category or "object", len(ids) + 1),
                        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                        "area": int(coco_mask.area(rle)),
                        "bbox": coco_mask.toBbox(rle).tolist(),
                        "iscrowd": crowd,
                        "source_id": source_id,
                    }
                )
    copy.categories = [{"id": id, "name": name} for name, id in ids.items()]


def _source_of(folders: FolderSet, spec: str, work: str) -> Source:
    """The set as its own source reads it, but over the sound pairs only (as links in `work`)."""
    pairs = folders.sound_pairs()
    require(bool(pairs), f"{spec}: no picture with a mask can be read; fetch the files again")
    kind, _, argument = spec.strip().partition(":")
    _, _, options = split_spec(kind, argument)
    parts = []
    for number, name in enumerate(("images", "masks")):
        parts.append(os.path.join(work, name))
        os.mkdir(parts[-1])
        for pair in pairs:
            for file in (pair[number], *further_layers(pair[number])):
                os.symlink(os.path.abspath(file), os.path.join(parts[-1], os.path.basename(file)))
    own = [*parts, *(f"{name}={value}" for name, value in options.items())]
    return open_source(f"{kind}:{','.join(own)}")


def _leave_out(copy: _Copy, annotation: Entry, reason: str) -> None:
    copy.objects_left_out.append({"annotation": annotation["id"], "reason": reason})


def _write_json(path: str, content: Entry) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
