"""COCO instance annotations over a folder of pictures.

The JSON is read once; every mask is kept as compressed run lengths and pictures are read when a
scene is asked for, so memory stays near the size of the annotations.
"""

import dataclasses
import json
import os
from collections import defaultdict
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.errors import UserError, require

_FAR_OUTSIDE = 1_000_000  # pixels; pycocotools crashes on coordinates much larger


@dataclasses.dataclass(frozen=True)
class _Picture:
    """One entry of the JSON's `images` with its annotations."""

    file_name: str
    height: int
    width: int
    objects: tuple[tuple[int, str, bytes], ...]  # id, category, run lengths
    crowds: tuple[bytes, ...]


class CocoSource:
    """Scenes of a COCO JSON: pictures in order of image id, objects in order of annotation id.

    Only pictures with at least one object are scenes; `pictures_left_out` counts the others, and
    `objects_left_out` the annotations without a single pixel (boxes without a mask, degenerate
    polygons). The parts of a polygon are united, as pycocotools does: a hole can only be stated
    as RLE. Pixels of crowd regions that belong to no object are `Scene.ignore`. Objects that
    overlap go to the first layer where they fit.

    An object's id is its annotation id if all of the file's fit int32 and are positive and
    distinct; otherwise a running number within its picture.

    Args:
        images_dir: folder that the `file_name`s of the JSON are relative to.
        annotations: the JSON file.

    Raises:
        UserError: a folder, file or picture that is missing, broken or does not fit.
    """

    def __init__(self, images_dir: str, annotations: str) -> None:
        require(os.path.isdir(images_dir), f"{images_dir}: no such folder of pictures")
        self.images_dir = images_dir
        self.annotations = annotations
        self.pictures_left_out = 0
        self.objects_left_out = 0
        self._pictures: list[_Picture] = []
        content = _load_json(annotations)
        try:
            self._index(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{annotations}: not COCO instance annotations ({type(error).__name__}: {error})"
            ) from error
        require(
            bool(self._pictures),
            f"{annotations}: no object with a mask in its {self.pictures_left_out} images; "
            "every annotation needs a polygon or RLE in 'segmentation'",
        )
        self._require_files()

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Scene:
        """Reads one scene. Raises UserError when its picture is broken or of another size."""
        picture = self._pictures[index]
        path = os.path.join(self.images_dir, picture.file_name)
        image = read_rgb(path)
        size = (picture.height, picture.width)
        require(
            image.shape[:2] == size,
            f"{path}: the picture is {image.shape[0]} x {image.shape[1]} pixels (height x width) "
            f"but {self.annotations} says {size[0]} x {size[1]}",
        )
        ids = [item[0] for item in picture.objects]
        try:
            labels, layers = _paint(ids, [_rle(size, item[2]) for item in picture.objects])
            ignore = np.zeros(size, bool)
            for counts in picture.crowds:
                ignore |= _decode(_rle(size, counts)) & ~labels.any(axis=-1)
        except ValueError as error:
            raise UserError(
                f"{self.annotations}: an RLE of {picture.file_name} does not fit {size[0]} x "
                f"{size[1]} pixels (height x width)"
            ) from error
        return Scene(
            name=picture.file_name,
            image=image,
            labels=labels,
            objects=tuple(
                SceneObject(id, layer, category)
                for (id, category, _), layer in zip(picture.objects, layers, strict=True)
            ),
            ignore=ignore,
        )

    def _index(self, content: dict[str, Any]) -> None:
        """Fills `_pictures` and the two counts from the parsed JSON."""
        categories = {item["id"]: str(item["name"]) for item in content.get("categories", ())}
        by_image = defaultdict(list)
        for annotation in content["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        keep_ids = _fit_int32([item["id"] for item in content["annotations"]])
        for image in sorted(content["images"], key=lambda item: _sort_key(item["id"])):
            height, width = int(image["height"]), int(image["width"])
            objects: list[tuple[int, str, bytes]] = []
            crowds: list[bytes] = []
            for item in sorted(by_image[image["id"]], key=lambda item: _sort_key(item["id"])):
                counts = self._compress(item, height, width)
                if counts is None:
                    self.objects_left_out += 1
                elif item.get("iscrowd"):
                    crowds.append(counts)
                else:
                    id = item["id"] if keep_ids else len(objects) + 1
                    objects.append((id, categories.get(item.get("category_id"), ""), counts))
            if objects:
                self._pictures.append(
                    _Picture(image["file_name"], height, width, tuple(objects), tuple(crowds))
                )
            else:
                self.pictures_left_out += 1

    def _compress(self, annotation: dict[str, Any], height: int, width: int) -> bytes | None:
        """The run lengths of an annotation's mask, or None when it has no pixel."""
        where = f"{self.annotations}: annotation {annotation['id']}"
        shape = annotation.get("segmentation")
        if not shape:
            return None
        try:
            if isinstance(shape, list):
                # pycocotools would take a part of four numbers for a box.
                parts = [part for part in shape if len(part) >= 6]
                if not parts:
                    return None
                require(
                    max(max(map(abs, part)) for part in parts) < _FAR_OUTSIDE,
                    f"{where} has a polygon far outside its image",
                )
                rle = _fill(coco_mask.frPyObjects(parts, height, width))
            else:
                require(
                    list(shape["size"]) == [height, width],
                    f"{where} has an RLE of size {shape['size']} "
                    f"in an image of [{height}, {width}] (height, width)",
                )
                rle = _compressed(shape)
            return rle["counts"] if coco_mask.area(rle) > 0 else None
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise UserError(
                f"{where} has a 'segmentation' that is neither polygons nor RLE"
            ) from error

    def _require_files(self) -> None:
        names = [picture.file_name for picture in self._pictures]
        missing = [n for n in names if not os.path.isfile(os.path.join(self.images_dir, n))]
        require(
            not missing,
            f"{self.images_dir}: {len(missing)} of the {len(names)} pictures named in "
            f"{self.annotations} are missing, the first is {missing[0] if missing else ''}",
        )


def read_rgb(path: str) -> np.ndarray:
    """Reads a picture as uint8 [h, w, 3] RGB.

    Grey becomes three equal channels, alpha is dropped, a palette is resolved, an orientation
    tag is not applied (annotations refer to the stored pixels). 16-bit pictures are stretched
    linearly from their 2nd to 98th percentile, all channels alike.

    Raises:
        UserError: the file is missing, is not a picture, or has values of another type.
    """
    require(os.path.isfile(path), f"{path}: no such picture")
    try:
        pixels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(f"{path}: not a picture that can be read (PNG, JPEG, TIFF ...)")
    if pixels.dtype == np.uint16:
        low, high = np.percentile(pixels, (2, 98))
        scaled = (pixels - low) * (255 / max(high - low, 1))
        pixels = np.clip(scaled, 0, 255).astype(np.uint8)
    require(
        pixels.dtype == np.uint8,
        f"{path}: pixels are {pixels.dtype}; convert the picture to 8 or 16 bits a channel",
    )
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        grey = pixels.reshape(*pixels.shape[:2], -1)[..., 0]
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, code)


def _load_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such annotation file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from error
    require(
        isinstance(content, dict) and "images" in content and "annotations" in content,
        f"{path}: not COCO instance annotations: 'images' or 'annotations' is missing",
    )
    return content


def _sort_key(id: Any) -> tuple[bool, Any]:
    return isinstance(id, str), id  # numbers first, then text: both occur in the wild


def _fit_int32(ids: list[Any]) -> bool:
    numbers = all(type(id) is int and 0 < id < 2**31 for id in ids)
    return numbers and len(set(ids)) == len(ids)


def _fill(rings: list[dict[str, Any]]) -> dict[str, Any]:
    """The union of polygons given as RLEs; one wholly inside another is a hole in it."""
    areas = coco_mask.area(rings)
    # With "crowd" the measure is intersection / own area: 1 where ring i lies inside ring j.
    inside = coco_mask.iou(rings, rings, [1] * len(rings)) == 1
    depth = (inside & (areas[:, None] < areas[None])).sum(1)
    if not depth.any():
        return coco_mask.merge(rings)
    mask = np.zeros(rings[0]["size"], np.uint8, order="F")
    for i in np.argsort(depth, kind="stable"):
        mask[_decode(rings[i])] = depth[i] % 2 == 0
    return coco_mask.encode(mask)


def _compressed(rle: dict[str, Any]) -> dict[str, Any]:
    """An RLE of the JSON in compressed form. Raises ValueError when it misfits its size."""
    height, width = rle["size"]
    counts = rle["counts"]
    if isinstance(counts, str):
        return {"size": [height, width], "counts": counts.encode("ascii")}
    if sum(counts) != height * width or min(counts) < 0:
        raise ValueError("run lengths do not add up to the size of the image")
    return coco_mask.frPyObjects(rle, height, width)


def _rle(size: tuple[int, int], counts: bytes) -> dict[str, Any]:
    return {"size": list(size), "counts": counts}


def _decode(rle: dict[str, Any]) -> np.ndarray:
    """bool [h, w]. Raises ValueError when the runs are longer than the size allows."""
    return coco_mask.decode(rle).view(bool)


def _paint(ids: list[int], rles: list[dict[str, Any]]) -> tuple[np.ndarray, list[int]]:
    """Labels int32 [h, w, layers] and each object's layer: the first where it overlaps none."""
    height, width = rles[0]["size"]
    stack = [np.zeros((height, width), np.int32)]
    layers = []
    boxes = coco_mask.toBbox(rles).astype(int)
    for id, rle, (x, y, w, h) in zip(ids, rles, boxes, strict=True):
        window = np.s_[y : y + h, x : x + w]
        mask = _decode(rle)[window]
        for layer, labels in enumerate(stack):  # noqa: B007
            if not labels[window][mask].any():
                break
        else:
            layer, labels = len(stack), np.zeros((height, width), np.int32)
            stack.append(labels)
        labels[window][mask] = id
        layers.append(layer)
    return np.moveaxis(np.stack(stack), 0, -1), layers  # each layer stays contiguous
