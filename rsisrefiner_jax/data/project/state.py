"""A project's state as a function of its events: the same when it runs and when it is reopened."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rsisrefiner_jax.data.project import raster_paths
from rsisrefiner_jax.data.project.events import Event
from rsisrefiner_jax.data.project.records import (
    FIELDS,
    Class,
    Image,
    Object,
    Session,
    SizeAndTime,
    Step,
    altered,
)
from rsisrefiner_jax.data.project.undo_history import Edit, History
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.formats.raster_info import Raster

CHANGES = {"class_id": "class", "attributes": "attributes", "mask": "outline"}


class State:
    """The state after the events so far. Records are replaced, never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.project_id = ""
        self.network: str | None = None  # in use, as `network_paths` tells it; None: never chosen
        self.network_since = 0  # number of the event that chose it
        self.images: dict[int, Image] = {}
        self.classes: dict[int, Class] = {}
        self.objects: dict[int, Object] = {}
        self.sessions: dict[int, Session] = {}
        self.histories: defaultdict[int, History] = defaultdict(History)  # of images
        self.edits: dict[int, Edit] = {}  # by their events
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

    def _network(self, event: Event) -> None:
        self.network, self.network_since = event.payload["network"], event.id

    def _image_added(self, event: Event) -> None:
        p = event.payload
        path = raster_paths.resolved(p, self._folder)
        info, recipe = raster_from(p["info"], path), recipe_from(p["recipe"])
        size_and_time = SizeAndTime(*p["stamp"]) if p.get("stamp") else None
        self.images[p["id"]] = Image(p["id"], p["name"], path, info, recipe, size_and_time)
        self._used("image", p["id"])

    def _image_file(self, event: Event) -> None:
        p = event.payload
        image = dataclasses.replace(
            self.images[p["id"]], size_and_time=SizeAndTime(*p["stamp"]), digest=p["digest"]
        )
        self.images[image.id] = image
        if "info" in p:
            self._replace_file(image, raster_from(p["info"], image.path))

    def _replace_file(self, image: Image, info: Raster) -> None:
        """Another file takes an image's place; recipes keep only bands that it has."""
        count = len(info.bands)
        image = dataclasses.replace(image, info=info, recipe=_within(image.recipe, count))
        self.images[image.id] = image
        for object in [o for o in self.objects.values() if o.image.id == image.id]:
            self.objects[object.id] = dataclasses.replace(object, image=image)  # areas anew
        for session in [d for d in self.sessions.values() if d.image_id == image.id]:
            self._change_session(session, recipe=_within(session.recipe, count))

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
        self.sessions[p["id"]] = Session(
            id=p["id"],
            image_id=p["image_id"],
            recipe=recipe_from(p["recipe"]),
            object_id=p.get("object_id"),
            refined=self.objects.get(p.get("object_id") or 0),
            box=tuple(p["box"]) if p.get("box") else None,
            start=p.get("start"),
        )
        self._used("session", p["id"])
        if p.get("click"):  # one event, so that a box never lacks its click
            x, y = p["click"]
            step = Step(event.id, event.time, x, y)
            self._change_session(self.sessions[p["id"]], steps=(step,), everything=(step,))

    def _click(self, event: Event) -> None:
        p = event.payload
        self._step(event, Step(event.id, event.time, p["x"], p["y"], p["positive"]))

    def _mask(self, event: Event) -> None:
        p = event.payload
        mode = p.get("mode", "replace")
        self._step(event, Step(event.id, event.time, mask=p["mask"], mode=mode))

    def _step(self, event: Event, step: Step) -> None:
        session = self.sessions[event.payload["session"]]
        self._change_session(
            session,
            steps=(*session.steps, step),
            undone=(),
            everything=(*session.everything, step),
        )

    def _undo(self, event: Event) -> None:
        session = self.sessions[event.payload["session"]]
        *steps, last = session.steps
        self._change_session(session, steps=tuple(steps), undone=(*session.undone, last))

    def _redo(self, event: Event) -> None:
        session = self.sessions[event.payload["session"]]
        *undone, last = session.undone
        self._change_session(session, steps=(*session.steps, last), undone=tuple(undone))

    def _change_session(self, session: Session, **changes: Any) -> None:
        self.sessions[session.id] = dataclasses.replace(session, **changes)

    def _discarded(self, event: Event) -> None:
        session = self.sessions[event.payload["session"]]
        self._change_session(session, open=False)
        if session.steps:
            id, steps = session.object_id, _count(len(session.steps), "step")
            what = "an object" if id is None else f"a refinement of object {id}"
            edit = Edit(event.id, f"discarding of {what}, {steps}", session=session.id)
            self._did(edit, session.image_id)

    def _finished(self, event: Event) -> None:
        p = event.payload
        session, id = self.sessions[p["session"]], p["object"]["id"]
        label = f"object {id}" if session.object_id is None else f"refinement of object {id}"
        made = self._object(event, p["object"], session.image_id)
        self._change_session(session, open=False, made=made, object_id=id)
        self._put(event, label, [made])

    def _imported(self, event: Event) -> None:
        p = event.payload
        for item in p["classes"]:
            self.classes[item["id"]] = Class(**item)
            self._used("class", item["id"])
        label = f"import of {_count(len(p['objects']), 'object')}"
        self._put(event, label, [self._object(event, item, p["image_id"]) for item in p["objects"]])

    def _object_added(self, event: Event) -> None:
        p = event.payload
        made = self._object(event, p["object"], p["image_id"])
        self._put(event, f"object {made.id}", [made])

    def _object(self, event: Event, item: dict[str, Any], image_id: int) -> Object:
        self._used("object", item["id"])
        return Object(
            id=item["id"],
            image=self.images[image_id],
            class_id=item["class_id"],
            attributes=item["attributes"],
            encoded=item["mask"],
            drawn=item.get("drawn"),
            clicks=item["clicks"],
            version=event.id,
        )

    def _changed(self, event: Event) -> None:
        p = event.payload
        changes = {FIELDS.get(key, key): p[key] for key in CHANGES if key in p}
        if "mask" in p:
            changes |= {"drawn": p.get("drawn"), "clicks": 0, "version": event.id}
        what = " and ".join(word for key, word in CHANGES.items() if key in p) or "change"
        object = altered(self.objects[p["id"]], **changes)
        self._put(event, f"{what} of object {p['id']}", [object])

    def _deleted(self, event: Event) -> None:
        object = altered(self.objects[event.payload["id"]], deletion=event.id)
        self._put(event, f"deletion of object {object.id}", [object])

    def _restored(self, event: Event) -> None:
        object = altered(self.objects[event.payload["id"]], deletion=0)
        self._put(event, f"return of object {object.id}", [object])

    def _put(self, event: Event, label: str, objects: Sequence[Object]) -> None:
        """Objects as they are from now on, by one edit."""
        if not objects:
            return
        before = tuple(self.objects.get(object.id) for object in objects)
        for object in objects:
            self._set(object)
        edit = Edit(event.id, label, before, tuple(objects))
        self._did(edit, objects[0].image.id)

    def _set(self, object: Object) -> None:
        """A record that may be an old one: its class may be gone, its image's file another."""
        image = self.images[object.image.id]
        changes: dict[str, Any] = {}
        if object.class_id is not None and object.class_id not in self.classes:
            changes["class_id"] = None
        if object.image.info is not image.info:
            changes["image"] = image
        self.objects[object.id] = altered(object, **changes) if changes else object

    def _did(self, edit: Edit, image_id: int) -> None:
        self.edits[edit.event] = edit
        self.histories[image_id].add(edit)

    def _undone(self, event: Event) -> None:
        edit = self.edits[event.payload["deed"]]
        self.histories[event.payload["image_id"]].move("undo")
        for before, after in zip(edit.before, edit.after, strict=True):
            self._set(before or altered(after, deletion=event.id))
        if edit.session is not None:
            self._change_session(self.sessions[edit.session], open=True)

    def _redone(self, event: Event) -> None:
        edit = self.edits[event.payload["deed"]]
        self.histories[event.payload["image_id"]].move("redo")
        for object in edit.after:
            self._set(object)
        if edit.session is not None:
            self._change_session(self.sessions[edit.session], open=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _within(recipe: Recipe, count: int) -> Recipe:
    """The recipe, its bands left to the file when that has fewer of them."""
    fits = max(recipe.bands, default=1) <= count
    return recipe if fits else dataclasses.replace(recipe, bands=())


def raster_from(fields: dict[str, Any], path: Path) -> Raster:
    """The inverse of `raster_to`."""
    info = dict(fields, path=str(path), bands=tuple(fields["bands"]))
    if info["nodata"] is not None:
        info["nodata"] = float(info["nodata"])
    if info["transform"] is not None:
        info["transform"] = tuple(info["transform"])
    return Raster(**info)


def raster_to(info: Raster) -> dict[str, Any]:
    """As JSON."""
    fields = dataclasses.asdict(info)
    if info.nodata is not None:
        fields["nodata"] = repr(float(info.nodata))  # JSON knows no NaN
    return fields


def recipe_from(fields: dict[str, Any]) -> Recipe:
    """The inverse of `recipe_to`. Raises UserError for values that no recipe has."""
    fill = fields.get("fill")  # earlier versions knew none
    return Recipe(
        tuple(fields["bands"]),
        tuple(fields["percentiles"]),
        fields["stretch_8bit"],
        None if fill is None else tuple(map(float, fill)),
    )


def recipe_to(recipe: Recipe) -> dict[str, Any]:
    """As JSON."""
    return {
        "bands": list(recipe.bands),
        "percentiles": list(recipe.percentiles),
        "stretch_8bit": recipe.stretch_8bit,
        "fill": None if recipe.fill is None else list(recipe.fill),
    }
