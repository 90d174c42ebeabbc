"""A project's state as a function of its journal: the same when it runs and when it is reopened."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rsisrefiner_jax.annotate import relative
from rsisrefiner_jax.annotate.journal import Event
from rsisrefiner_jax.annotate.records import Class, Drawing, Image, Object, Step
from rsisrefiner_jax.data.raster import Raster
from rsisrefiner_jax.data.stretch import Recipe


class State:
    """What the events so far have led to. Records are replaced, never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.project_id = ""
        self.images: dict[int, Image] = {}
        self.classes: dict[int, Class] = {}
        self.objects: dict[int, Object] = {}
        self.drawings: dict[int, Drawing] = {}
        self._next = {"image": 1, "class": 1, "object": 1, "session": 1}

    def new_id(self, kind: str) -> int:
        """A number that no image, class, object or session had before."""
        return self._next[kind]

    def apply(self, event: Event) -> None:
        """Lets an event take effect."""
        handler: Callable[[Event], None] = getattr(self, f"_{event.kind}")
        handler(event)

    def _used(self, kind: str, id: int) -> None:
        self._next[kind] = max(self._next[kind], id + 1)

    def _project_created(self, event: Event) -> None:
        self.project_id = event.payload["id"]

    def _image_added(self, event: Event) -> None:
        p = event.payload
        path = relative.found(p, self._folder)
        info = dict(p["info"], path=str(path), bands=tuple(p["info"]["bands"]))
        if info["nodata"] is not None:
            info["nodata"] = float(info["nodata"])
        if info["transform"] is not None:
            info["transform"] = tuple(info["transform"])
        self.images[p["id"]] = Image(
            p["id"], p["name"], path, Raster(**info), recipe_from(p["recipe"])
        )
        self._used("image", p["id"])

    def _recipe(self, event: Event) -> None:
        id = event.payload["id"]
        recipe = recipe_from(event.payload["recipe"])
        self.images[id] = dataclasses.replace(self.images[id], recipe=recipe)

    def _classes(self, event: Event) -> None:
        self.classes = {item["id"]: Class(**item) for item in event.payload["classes"]}
        for id in self.classes:
            self._used("class", id)

    def _session_opened(self, event: Event) -> None:
        p = event.payload
        self.drawings[p["id"]] = Drawing(
            id=p["id"],
            image_id=p["image_id"],
            recipe=recipe_from(p["recipe"]),
            object_id=p.get("object_id"),
            box=tuple(p["box"]) if p.get("box") else None,
            start=p.get("start"),
        )
        self._used("session", p["id"])
        if p.get("click"):  # one event, so that a box never lacks its click
            x, y = p["click"]
            step = Step(event.id, event.time, x, y)
            self._draw(self.drawings[p["id"]], steps=(step,), everything=(step,))

    def _click(self, event: Event) -> None:
        p = event.payload
        self._step(event, Step(event.id, event.time, p["x"], p["y"], p["positive"]))

    def _mask(self, event: Event) -> None:
        self._step(event, Step(event.id, event.time, mask=event.payload["mask"]))

    def _step(self, event: Event, step: Step) -> None:
        drawing = self.drawings[event.payload["session"]]
        self._draw(
            drawing,
            steps=(*drawing.steps, step),
            undone=(),
            everything=(*drawing.everything, step),
        )

    def _undo(self, event: Event) -> None:
        drawing = self.drawings[event.payload["session"]]
        *steps, last = drawing.steps
        self._draw(drawing, steps=tuple(steps), undone=(*drawing.undone, last))

    def _redo(self, event: Event) -> None:
        drawing = self.drawings[event.payload["session"]]
        *undone, last = drawing.undone
        self._draw(drawing, steps=(*drawing.steps, last), undone=tuple(undone))

    def _draw(self, drawing: Drawing, **changes: Any) -> None:
        self.drawings[drawing.id] = dataclasses.replace(drawing, **changes)

    def _discarded(self, event: Event) -> None:
        self._draw(self.drawings[event.payload["session"]], open=False)

    def _finished(self, event: Event) -> None:
        p = event.payload
        drawing = self.drawings[p["session"]]
        self._draw(drawing, open=False, made=True, object_id=p["object"]["id"])
        self._put(p["object"], drawing.image_id)

    def _imported(self, event: Event) -> None:
        for item in event.payload["classes"]:
            self.classes[item["id"]] = Class(**item)
            self._used("class", item["id"])
        for item in event.payload["objects"]:
            self._put(item, event.payload["image_id"])

    def _put(self, item: dict[str, Any], image_id: int) -> None:
        self.objects[item["id"]] = Object(
            id=item["id"],
            image=self.images[image_id],
            class_id=item["class_id"],
            attributes=item["attributes"],
            encoded=item["mask"],
            drawn=item.get("drawn"),
            clicks=item["clicks"],
        )
        self._used("object", item["id"])

    def _changed(self, event: Event) -> None:
        p = event.payload
        names = {"class_id": "class_id", "attributes": "attributes", "mask": "encoded"}
        changes = {names[key]: p[key] for key in names if key in p}
        if "mask" in p:
            changes["drawn"] = p.get("drawn")
        self.objects[p["id"]] = dataclasses.replace(self.objects[p["id"]], **changes)

    def _deleted(self, event: Event) -> None:
        self._mark(event.payload["id"], True)

    def _restored(self, event: Event) -> None:
        self._mark(event.payload["id"], False)

    def _mark(self, id: int, deleted: bool) -> None:
        self.objects[id] = dataclasses.replace(self.objects[id], deleted=deleted)


def recipe_from(fields: dict[str, Any]) -> Recipe:
    """The inverse of `recipe_to`. Raises UserError for values that no recipe has."""
    return Recipe(tuple(fields["bands"]), tuple(fields["percentiles"]), fields["stretch_8bit"])


def recipe_to(recipe: Recipe) -> dict[str, Any]:
    """As JSON."""
    return {
        "bands": list(recipe.bands),
        "percentiles": list(recipe.percentiles),
        "stretch_8bit": recipe.stretch_8bit,
    }
