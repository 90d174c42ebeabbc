"""A project of the annotator, drawn by a simulated person from the masks of a data set.

    python -m benchmarks.simulated_project --data coco:images,instances.json \\
        --pictures 'scene1_*' --objects 36 --out scene1.annotations
    python -m benchmarks.simulated_project --data coco:images,instances.json \\
        --pictures 'scene1_*' --skip 5 --objects 60 --each 4 --clicks 0 --out others.annotations

Every object is clicked through the HTTP interface, where the answer is most wrong, until it is
right to 90 % or after `--clicks`, and then finished with the mask of the data set, as a person who
corrects the rest by hand. Prints the clicks; then the counts and the object hash of the project,
and of its export, which are the same. `rsisrefiner finetune` and `forecast` take it from there.
The second command draws objects of other pictures of the same scene by hand, for evaluation.
"""

import argparse
import base64
import fnmatch
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fastapi.testclient import TestClient
from tqdm import tqdm

from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.context import Context
from rsisrefiner_jax.annotate.export.whole_project import export_project
from rsisrefiner_jax.annotate.guard import LOOPBACK
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import Roots
from rsisrefiner_jax.annotate.serve import load, used_last
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.data.annotated_picture import AnnotatedPicture
from rsisrefiner_jax.data.coco import CocoSource
from rsisrefiner_jax.data.object_hash import object_hash
from rsisrefiner_jax.data.project import network_paths
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.errors import require, run_main
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.masks import Mask

RIGHT = 0.9  # IoU
SMALLEST = 256  # pixels of an object


def main() -> None:
    """Runs the command line; see `--help`."""
    options = _parser().parse_args()
    source = open_source(options.data)
    require(isinstance(source, CocoSource), f"--data {options.data}: coco:IMAGES,FILE.json")
    assert isinstance(source, CocoSource)
    named = [p for p, _ in source.pictures if fnmatch.fnmatch(p.name, options.pictures)]
    require(bool(named), f"--pictures {options.pictures}: there is none")
    folder = Path(named[0].path).parent
    project = Project(options.out, Roots([folder]))
    checkpoint = used_last(project)
    worker = Worker(lambda: load(checkpoint))
    told = network_paths.name_of(checkpoint, project.folder)
    app = make_app(Context(project, worker, told), LOOPBACK)
    person = Person(TestClient(app, base_url="http://localhost"))
    chosen = choose(named, options.objects, options.each, options.skip)
    bar = tqdm(total=sum(len(objects) for _, objects in chosen), unit="object")
    for picture, objects in chosen:
        image = project.add_image(Path(picture.path))
        for _, category, encoded in objects:
            known = Mask.decode(encoded)
            person.draw(image.id, category, known, picture.size, options.clicks)
            bar.update()
    bar.close()
    worker.stop()
    project.close()
    print(f"{len(person.clicks)} objects of {len(chosen)} pictures, ", end="")
    print(f"{np.mean(person.clicks):.2f} clicks each, of which ", end="")
    print(f"{sum(n == options.clicks for n in person.clicks)} took {options.clicks}")
    for spec in (f"project:{options.out}", export_project(options.out, options.out / "export")):
        print(f"{spec}: {' '.join(counts_and_hash(spec))}")


def choose(
    pictures: list[AnnotatedPicture], count: int, each: int, skip: int
) -> list[tuple[AnnotatedPicture, list[tuple[int, str, dict[str, Any]]]]]:
    """The first `count` objects that are large enough, at most `each` of a picture, without those
    of the first `skip` pictures that have some."""
    found, left = [], count
    for picture in pictures:
        large = [one for one in picture.objects if Mask.decode(one[2]).area >= SMALLEST]
        if large and skip:
            skip -= 1
            continue
        chosen = large[: min(each, left)]
        left -= len(chosen)
        if chosen:
            found.append((picture, chosen))
    return found


class Person:
    """Draws objects whose masks are known. clicks: that each took."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._classes: dict[str, int] = {}
        self.clicks: list[int] = []

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = self._client.request(method, f"/api/{path}", json=body)
        require(reply.status_code < 300, reply.text)
        return reply.json()

    def draw(
        self, image: int, category: str, known: Mask, size: tuple[int, int], most: int
    ) -> None:
        """Clicks an object up to `most` times, corrects it and finishes it."""
        height, width = size
        target = known.within(0, 0, width, height)
        session = f"sessions/{self._ask('POST', 'sessions', {'image_id': image})['id']}"
        answer, count, iou = np.zeros(size, bool), 0, 0.0
        while count < most and iou < RIGHT:
            x, y, positive = next_click(target, answer)
            click = {"x": x + 0.5, "y": y + 0.5, "positive": positive}
            reply = self._ask("POST", f"{session}/clicks", click)
            if reply["geometry"] is None:
                answer = np.zeros(size, bool)
            else:
                shape = geometry.from_json(reply["geometry"])
                answer = geometry.rasterise(shape, width, height).within(0, 0, width, height)
            count += 1
            iou = (target & answer).sum() / (target | answer).sum()
        self.clicks.append(count)
        encoded = cv2.imencode(".png", known.pixels.astype(np.uint8) * 255)[1]
        png = base64.b64encode(encoded.tobytes()).decode()
        self._ask("PUT", f"{session}/mask", {"png": png, "x": known.x, "y": known.y})
        self._ask("POST", f"{session}/finish", {"class_id": self._class(category)})

    def _class(self, name: str) -> int:
        if name not in self._classes:
            items = [{"id": id, "name": known} for known, id in self._classes.items()]
            made = self._ask("PUT", "project/classes", [*items, {"name": name}])
            self._classes = {item["name"]: item["id"] for item in made}
        return self._classes[name]


def next_click(target: np.ndarray, answer: np.ndarray) -> tuple[int, int, bool]:
    """(x, y, positive): deepest inside what is most wrong."""
    deepest = []
    for wrong in (target & ~answer, answer & ~target):
        padded = np.pad(wrong.astype(np.uint8), 1)
        deepest.append(
            cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        )
    missing = deepest[0].max() >= deepest[1].max()
    y, x = np.unravel_index(deepest[0 if missing else 1].argmax(), target.shape)
    return int(x), int(y), bool(missing)


def counts_and_hash(spec: str) -> tuple[str, str]:
    """Of the objects of a data set."""
    objects = []
    source = open_source(spec)
    for i in range(len(source)):
        scene = source[i]
        for item in scene.objects:
            objects.append((scene.name, item.id, int((scene.mask(item) & ~scene.ignore).sum())))
    return f"{len(objects)} objects", object_hash(objects)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", required=True, metavar="SPEC", help="coco:IMAGES,FILE.json")
    add("--pictures", default="*", metavar="PATTERN", help="of the names of pictures")
    add("--objects", type=int, default=36, metavar="N", help="in all (%(default)s)")
    add("--skip", type=int, default=0, metavar="N", help="leave out N pictures")
    add("--clicks", type=int, default=20, metavar="N", help="for an object at most (%(default)s)")
    add("--each", type=int, default=8, metavar="N", help="of a picture (%(default)s)")
    add("--out", type=Path, required=True, metavar="DIR", help="the project's folder")
    return parser


if __name__ == "__main__":
    run_main(main)
