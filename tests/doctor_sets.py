"""Tiny clean data sets for the doctor, to plant traps in."""

import json
from pathlib import Path

import cv2
import numpy as np

H, W = 48, 64
NAMES = ("a.png", "b.png", "c.jpg", "d.png")


def picture(seed: int) -> np.ndarray:
    """uint8 [H, W, 3], BGR: brown noise, as land is."""
    noise = np.random.default_rng(seed).integers(0, 40, (H, W, 1), np.uint8)
    return noise + np.array([60, 100, 130], np.uint8)


def square(y: int, x: int, side: int) -> list[int]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def coco_content() -> dict:
    """Two objects in each of the four pictures of `NAMES`; two classes."""
    images: list[dict] = [
        {"id": i, "file_name": name, "width": W, "height": H} for i, name in enumerate(NAMES, 1)
    ]
    annotations = [
        {
            "id": 2 * image["id"] + k,
            "image_id": image["id"],
            "category_id": k + 1,
            "segmentation": [square(4 + 2 * image["id"], 4 + 28 * k, 20)],
            "iscrowd": 0,
        }
        for image in images
        for k in (0, 1)
    ]
    categories = [{"id": 1, "name": "ship"}, {"id": 2, "name": "plane"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_pictures(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        cv2.imwrite(str(folder / name), picture(seed + number))
    return folder


def write_coco(folder: Path, content: object | None = None, seed: int = 0) -> str:
    """Writes pictures and JSON (`content`: anything JSON, or raw text); returns the SPEC."""
    images = write_pictures(folder / "images", seed)
    content = coco_content() if content is None else content
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "instances.json").write_text(text)
    return f"coco:{images},{folder / 'instances.json'}"


def id_mask() -> np.ndarray:
    """uint8 [H, W, 3] RGB: iSAID-like ids 70 and 300 (R + 256 G)."""
    mask = np.zeros((H, W, 3), np.uint8)
    mask[5:25, 5:25] = (70, 0, 0)
    mask[5:25, 35:55] = (44, 1, 0)
    return mask


def class_mask() -> np.ndarray:
    """uint8 [H, W]: two squares of class 200 and one of 100 on 0."""
    mask = np.zeros((H, W), np.uint8)
    mask[5:25, 5:25] = mask[5:25, 35:55] = 200
    mask[30:40, 5:25] = 100
    return mask


def write_masks(folder: Path, kind: str, mask: np.ndarray) -> str:
    """Writes pictures, and the same mask (RGB or grey) for each; returns the SPEC."""
    images, masks = write_pictures(folder / "images"), folder / "masks"
    masks.mkdir()
    for name in NAMES:
        write_mask(masks / f"{Path(name).stem}.png", mask)
    return f"{kind}:{images},{masks}" + (",class=200" if kind == "classes" else "")


def write_mask(path: Path, mask: np.ndarray) -> None:
    cv2.imwrite(str(path), mask[..., ::-1] if mask.ndim == 3 else mask)
