"""Miniature data sets in the layouts of the official downloads, and what is true of them.

Scenes are a tenth of the size of real ones; `SMALL_PATCHES` is to be set meanwhile.

Names, formats, colour codes and folders are those of the real thing; pictures are made up. Every
function writes below `root` and returns, for each scene before cutting, the RGB picture and the
label arrays that were written.
"""

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np

SMALL_PATCHES = {  # module attribute -> value
    "rsisrefiner_jax.data.builders.isaid.PATCH": 80,
    "rsisrefiner_jax.data.builders.isaid.OVERLAP": 20,
    "rsisrefiner_jax.data.builders.potsdam.PATCH": 80,
}

# As the iSAID and ISPRS sites print them, RGB.
ISAID_COLOURS = {"ship": (0, 0, 63), "plane": (0, 127, 255), "large_vehicle": (0, 127, 127)}
POTSDAM_COLOURS = {
    "impervious_surface": (255, 255, 255),
    "building": (0, 0, 255),
    "low_vegetation": (0, 255, 255),
    "tree": (0, 255, 0),
    "car": (255, 255, 0),
    "clutter": (255, 0, 0),
}


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 [h, w, 3] RGB, smooth, red in the left half and blue in the right."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 90, (9, 9, 3), np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    image[:, : width // 2, 0] += 150
    image[:, width // 2 :, 2] += 150
    return image


def blobs(seed: int, height: int, width: int, classes: int, count: int = 12) -> np.ndarray:
    """uint8 [h, w]: rectangles of the classes 1..classes on 0."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    for i in range(count):
        y, x = rng.integers(0, [height - 6, width - 6])
        h, w = rng.integers(3, [height // 3, width // 3])
        mask[y : y + h, x : x + w] = i % classes + 1
    return mask


def save(path: Path, rgb: np.ndarray) -> None:
    """Writes RGB, RGBI or grey pixels in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {2: slice(None), 3: np.s_[..., ::-1], 4: np.s_[..., [2, 1, 0, 3]]}
    assert cv2.imwrite(str(path), rgb[order[rgb.ndim if rgb.ndim == 2 else rgb.shape[2]]])


def pack(folder: Path, archive: Path, inside: str = "") -> None:
    """Moves all files below a folder into a zip archive, under `inside`."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                zipped.write(path, os.path.join(inside, path.relative_to(folder)))
                path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()


def isaid_scene(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, instance ids as colours (R + 256 G + 65536 B) and class colours, all RGB."""
    rng = np.random.default_rng(seed)
    regions = blobs(seed, height, width, classes=9, count=9)
    ids, colours = (np.zeros((height, width, 3), np.uint8) for _ in range(2))
    for number, id in enumerate(rng.integers(1000, 1 << 24, 9), start=1):
        inside = regions == number
        ids[inside] = id & 255, id >> 8 & 255, id >> 16
        colours[inside] = list(ISAID_COLOURS.values())[number % 3]
    return picture(seed, height, width), ids, colours


ISAID_SCENES = {"train": {"P0001": (100, 90), "P0010": (60, 40)}, "val": {"P0003": (50, 130)}}
"""Height and width: one that is cut both ways, one that is not, one that is cut one way."""


def isaid(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The development kit's layout: three files side by side."""
    scenes = {}
    for split, sizes in ISAID_SCENES.items():
        for seed, (name, size) in enumerate(sizes.items()):
            scenes[name] = isaid_scene(seed, *size)
            endings = ("", "_instance_id_RGB", "_instance_color_RGB")
            for ending, pixels in zip(endings, scenes[name], strict=True):
                save(root / "iSAID" / split / "images" / f"{name}{ending}.png", pixels)
    save(root / "iSAID" / "test" / "images" / "P0006.png", picture(9, 30, 30))
    return scenes


def isaid_archives(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """As downloaded from DOTA and iSAID."""
    scenes = isaid(root / "flat")
    for split in ISAID_SCENES:
        flat = root / "flat" / "iSAID" / split / "images"
        for kind, ending in (
            ("Instance_masks/images", "_instance_id_RGB"),
            ("Semantic_masks/images", "_instance_color_RGB"),
            ("images/part1", ""),
        ):
            folder = root / "moved"
            folder.mkdir()
            for path in flat.glob(f"P????{ending}.png"):
                path.rename(folder / path.name)
            pack(folder, root / split / f"{kind}.zip", inside="images")
    pack(root / "flat", root / "test" / "images" / "part1.zip")
    return scenes


def potsdam(root: Path, images: str = "2_Ortho_RGB", labels: str = "5_Labels_all") -> dict:
    """Official tiles: 2_10 is for training, 2_13 for validation."""
    scenes = {}
    bands = images.rpartition("_")[2]
    ending = "label_noBoundary" if labels.endswith("noBoundary") else "label"
    for seed, tile in enumerate(("2_10", "2_13")):
        codes = blobs(seed, 90, 100, classes=6, count=40)
        codes[codes == 0] = 1
        if ending == "label_noBoundary":
            codes[::20] = 0
        image = picture(seed, 90, 100)
        palette = np.array([(0, 0, 0), *POTSDAM_COLOURS.values()], np.uint8)
        pixels = image
        if bands == "RGBIR":
            pixels = np.dstack([image, np.full((90, 100), 7, np.uint8)])
        save(root / images / f"top_potsdam_{tile}_{bands}.tif", pixels)
        save(root / labels / f"top_potsdam_{tile}_{ending}.tif", palette[codes])
        scenes[f"top_potsdam_{tile}"] = image, codes
    return scenes


def potsdam_patches(root: Path, names: dict[str, str], ids: bool) -> dict:
    """img_dir and ann_dir. names: split folder -> file stem; ids: the authors' masks."""
    scenes = {}
    for seed, (folder, name) in enumerate(names.items()):
        codes = blobs(seed, 64, 64, classes=6)
        image = picture(seed, 64, 64)
        mask = np.dstack([codes * 3, codes * 0 + 2 * (codes > 0), codes * 5]) if ids else codes
        save(root / "img_dir" / folder / f"{name}.png", image)
        save(root / "ann_dir" / folder / f"{name}.png", mask)
        scenes[name] = image, codes
    return scenes


def loveda(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Train.zip, Val.zip and Test.zip; the scenes returned are the urban ones with masks."""
    scenes = {}
    for seed, (split, area, name) in enumerate(
        [("Train", "Urban", "1366"), ("Train", "Rural", "0"), ("Val", "Urban", "3514")]
    ):
        codes = blobs(seed, 96, 96, classes=7)
        codes[:, :5] = 0
        image = picture(seed, 96, 96)
        save(root / split / area / "images_png" / f"{name}.png", image)
        save(root / split / area / "masks_png" / f"{name}.png", codes)
        if area == "Urban":
            scenes[name] = image, codes
    save(root / "Test" / "Urban" / "images_png" / "4191.png", picture(8, 20, 20))
    for split in ("Train", "Val", "Test"):
        pack(root / split, root / f"{split}.zip", inside=split)
    return scenes


def whu(root: Path, on: int = 255) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{train,val,test}/{image,label} of TIFs; `on` is the value of a building."""
    scenes = {}
    for seed, split in enumerate(("train", "val", "test")):
        mask = blobs(seed, 64, 64, classes=1)
        image = picture(seed, 64, 64)
        save(root / split / "image" / f"{seed}.tif", image)
        save(root / split / "label" / f"{seed}.tif", mask * np.uint8(on))
        scenes[str(seed)] = image, mask
    return scenes


def authors(root: Path, images: str, masks: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The layout of the paper's code: pictures and masks of RGB ids of the same name."""
    scenes = {}
    for seed in range(2):
        numbers = blobs(seed, 64, 64, classes=12)
        image = picture(seed, 64, 64)
        ids = np.dstack([numbers, numbers * 3, numbers * 0 + (numbers > 3)])
        save(root / images / f"{seed}.png", image)
        save(root / masks / f"{seed}.png", ids)
        scenes[str(seed)] = image, numbers
    return scenes


def coco(images: list[tuple[str, int, int]], first_id: int = 0) -> dict:
    """COCO annotations with two polygons that overlap in each (file name, height, width)."""
    annotations = []
    for image_id, (_, height, width) in enumerate(images, start=first_id):
        for category, left in ((1, 2), (10, 7)):
            right, bottom = width - 8 + left - 2, height - 4
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "segmentation": [[left, 3, right, 3, right, bottom, left, bottom - 5]],
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": image_id, "file_name": name, "height": height, "width": width}
            for image_id, (name, height, width) in enumerate(images, start=first_id)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "airplane"}, {"id": 10, "name": "vehicle"}],
    }


def nwpu(root: Path, count: int = 3) -> tuple[Path, Path]:
    """The official picture folder and VHR-10_dataset_coco's JSON; returns the two paths."""
    images = root / "NWPU VHR-10 dataset" / "positive image set"
    sizes = []
    for seed in range(count):
        sizes.append((f"{seed + 1:03d}.jpg", 40 + seed, 50 + 2 * seed))
        save(images / sizes[-1][0], picture(seed, *sizes[-1][1:]))
    save(root / "NWPU VHR-10 dataset" / "negative image set" / "001.jpg", picture(8, 20, 20))
    annotations = root / "NWPU VHR-10_dataset_coco" / "annotations.json"
    annotations.parent.mkdir()
    annotations.write_text(json.dumps(coco(sizes)))
    return images, annotations
