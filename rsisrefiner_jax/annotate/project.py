"""A project in a folder: what clients may do to it. Everything goes through its journal."""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from rsisrefiner_jax.annotate import rasters, safety
from rsisrefiner_jax.annotate.disk import remove_leftovers, room_for, written_aside
from rsisrefiner_jax.annotate.edits import Edits
from rsisrefiner_jax.annotate.file_identity import size_and_time_of
from rsisrefiner_jax.annotate.image_files import ImageFiles
from rsisrefiner_jax.annotate.importing.numbering import numbered
from rsisrefiner_jax.annotate.recorded_state import RecordedState, lookup
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.annotate.safety import MEBIBYTE, Roots
from rsisrefiner_jax.annotate.sessions import Sessions, check_class, undeleted
from rsisrefiner_jax.annotate.source import Source
from rsisrefiner_jax.data.project import raster_paths
from rsisrefiner_jax.data.project.records import Class, Image, Object, measure
from rsisrefiner_jax.data.project.state import raster_to, recipe_from, recipe_to
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats import geometry
from rsisrefiner_jax.formats.outlines import Outline
from rsisrefiner_jax.networks import DEFAULT

AT_FIRST = Recipe(stretch_8bit=None)  # how a new image is shown


class Project:
    """Checks what is asked for, writes it down, then lets it take effect.

    Any thread may call it. Records that it hands out do not change. `sessions` are the objects
    that are not finished, `files` those behind images, `edits` what can be undone.
    """

    def __init__(self, folder: Path, roots: Roots) -> None:
        """Opens or makes the project in `folder`. Raises UserError when that cannot be done."""
        self.folder = folder
        self.roots = roots
        self.uploads = folder / "uploads"
        self.cache = folder / "cache"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as opened:
                self._recorded = RecordedState(folder)
                opened.callback(self._recorded.close)
                for part in (self.uploads, self.cache):
                    part.mkdir(exist_ok=True)
                remove_leftovers(folder)  # only now: another server might have been at work here
                opened.pop_all()
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error}); choose --project") from error
        self._lock, self._state = self._recorded.lock, self._recorded.state
        self._measuring = threading.Lock()
        self._record = self._recorded.record
        self.journal = self._recorded.journal
        self.sessions = Sessions(self._recorded)
        self.files = ImageFiles(self._recorded, roots, self.uploads)
        self.edits = Edits(self._recorded)

    @property
    def id(self) -> str:
        """A random id of this project, which stays when its folder is moved."""
        return self._state.project_id

    @property
    def network(self) -> str | None:
        """The one in use, as `network_paths` tells it; None: none was ever chosen."""
        with self._lock:
            return self._state.network

    def use_network(self, name: str) -> None:
        """Writes down that clicks are answered by another network from now on."""
        with self._lock:
            if name != (self._state.network or DEFAULT):
                self._record("network", {"network": name})

    # Images.

    def images(self) -> list[Image]:
        with self._lock:
            return list(self._state.images.values())

    def image(self, id: int) -> Image:
        """Raises Missing."""
        with self._lock:
            return lookup(self._state.images, id, "image")

    def add_image(self, file: Path) -> Image:
        """Adds a raster, unless it is there already.

        Raises:
            UserError: it cannot be opened.
        """
        size_and_time, info = size_and_time_of(file), rasters.open_checked(file)
        with self._lock:
            for image in self._state.images.values():
                if os.path.realpath(image.path) == os.path.realpath(file):
                    return image
            id = self._state.new_id("image")
            self._record(
                "image_added",
                {
                    "id": id,
                    "name": file.name,
                    **raster_paths.relative_paths(file, self.folder),
                    "info": raster_to(info),
                    "recipe": recipe_to(AT_FIRST),
                    "stamp": size_and_time,
                },
            )
            return self._state.images[id]

    def add_upload(self, name: str, content: BinaryIO) -> Image:
        """Keeps a client's file in the project and adds it.

        Raises:
            UserError: it is too large or cannot be opened, or the disk is full; nothing stays.
        """
        folder = self.uploads / os.urandom(8).hex()
        file = folder / safety.safe_name(name)
        try:
            with room_for(safety.printable(name)):
                folder.mkdir()
                with written_aside(file) as part, open(part, "xb") as out:
                    copy_limited(content, out, safety.UPLOAD_LIMIT, name)
            return self.add_image(file)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def source(self, image: Image) -> Source:
        """An image's file as it is now, ready to be read; the first time that may take seconds.

        Raises:
            Conflict: it has another size than the image.
            UserError: it is gone, cannot be read, or lies outside the roots.
        """
        info = self.files.info(image)
        if (info.height, info.width) != (image.info.height, image.info.width):
            self.files.require_unchanged(image)
        return rasters.open_source(image.path, self.cache)

    def set_recipe(self, id: int, fields: dict[str, Any]) -> Image:
        """Sets how an image is shown. Raises UserError: it lacks one of the bands."""
        image = self.image(id)
        recipe = recipe_from(fields)
        count = len(image.info.bands)
        require(
            max(recipe.bands, default=1) <= count,
            f"bands {list(recipe.bands)}: {image.name} has only {count}",
        )
        with self._lock:
            self._record("recipe", {"id": id, "recipe": recipe_to(recipe)})
            return self._state.images[id]

    # Classes.

    def classes(self) -> list[Class]:
        with self._lock:
            return list(self._state.classes.values())

    def set_classes(self, items: list[dict[str, Any]]) -> list[Class]:
        """Replaces the list. Items without an id, or with an unknown one, are new.

        Raises:
            Conflict: one that is left out is in use.
            UserError: a name occurs twice.
        """
        names = [item["name"] for item in items]
        require(len(set(names)) == len(names), "classes: every name may occur once only")
        ids = [item["id"] for item in items if item.get("id") is not None]
        require(len(set(ids)) == len(ids), "classes: every id may occur once only")
        with self._lock:
            known, new, chosen = self._state.classes, self._state.new_id("class"), []
            for item in items:
                id = item.get("id")
                if id not in known:
                    id, new = new, new + 1
                chosen.append(
                    {
                        "id": id,
                        "name": item["name"],
                        "colour": item["colour"],
                        "shortcut": item.get("shortcut") or "",
                    }
                )
            left_out = set(known) - {item["id"] for item in chosen}
            for object in self._state.objects.values():
                if object.class_id in left_out and not object.deleted:
                    name = known[object.class_id].name
                    raise Conflict(f"class {name!r} is in use; give its objects another one first")
            self._record("classes", {"classes": chosen})
            return list(self._state.classes.values())

    # Objects.

    def objects(self, image_id: int, deleted: bool = False, measured: bool = True) -> list[Object]:
        """Those of an image, or those that were deleted, the last one first. Raises Missing.

        measured: their areas are known, which takes seconds for thousands.
        """
        with self._lock:
            self.image(image_id)
            everything = self._state.objects.values()
            found = [o for o in everything if o.image.id == image_id and o.deleted == deleted]
        if measured:
            with self._measuring:  # whoever asks meanwhile finds them measured
                measure(found)
        return sorted(found, key=lambda o: (-o.deletion, -o.id)) if deleted else found

    def object(self, id: int, may_be_deleted: bool = False) -> Object:
        """Raises Missing, also when it is deleted."""
        with self._lock:
            if may_be_deleted:
                return lookup(self._state.objects, id, "object")
            return undeleted(self._state, id)

    def add_object(
        self,
        image_id: int,
        outline: Outline,
        class_id: int | None = None,
        attributes: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> Object:
        """Makes an object of an outline.

        key: asked for twice with the same one, it happens once.

        Raises:
            UserError: a class that is not there.
        """
        with self._lock:
            key = None if key is None else f"object/{key}"
            if key is not None and (earlier := self.journal.with_key(key)):
                return self.object(earlier.payload["object"]["id"])
            self.image(image_id)
            check_class(self._state, class_id)
            id = self._state.new_id("object")
            about = {"id": id, "class_id": class_id, "attributes": attributes or {}, "clicks": 0}
            item = about | _fields(outline)
            self._record("object_added", {"image_id": image_id, "object": item}, key)
            return self._state.objects[id]

    def change_object(
        self, id: int, changes: dict[str, Any], outline: Outline | None = None
    ) -> Object:
        """Gives an object another "class_id", "attributes" or outline, which no click has led to.

        Raises:
            UserError: a class that is not there.
        """
        changes = changes | (_fields(outline) if outline else {})
        with self._lock:
            before = self.object(id)
            if "class_id" in changes:
                check_class(self._state, changes["class_id"])
            # What is asked for a second time is no second step to undo.
            if json.dumps(changes) != json.dumps({key: before.field(key) for key in changes}):
                self._record("changed", {"id": id, **changes})
            return self._state.objects[id]

    def delete_object(self, id: int) -> None:
        with self._lock:
            if not lookup(self._state.objects, id, "object").deleted:
                self._record("deleted", {"id": id})

    def restore_object(self, id: int) -> Object:
        with self._lock:
            if lookup(self._state.objects, id, "object").deleted:
                self._record("restored", {"id": id})
            return self._state.objects[id]

    def import_objects(
        self,
        image_id: int,
        found: list[dict[str, Any]],
        replaced: Mapping[int, Object] | None = None,
    ) -> int:
        """Adds objects, all or none; classes that are new come with them.

        Args:
            found: as `importing.reading.Reading.items`; each keeps its "id" where nothing has it.
            replaced: of places in `found` the object that is there, whose outline it becomes; its
                class and attributes, too, where it has any.

        Returns:
            How many could not keep it.

        Raises:
            Conflict: one of those that are to be replaced has been changed since.
        """
        replaced = replaced or {}
        with self._lock:
            self.image(image_id)
            if not found:
                return 0
            for object in replaced.values():
                if self._state.objects[object.id] is not object:
                    raise Conflict(f"object {object.id} was changed meanwhile; import again")
            new = numbered(found, replaced, self._state)
            self._record(
                "imported",
                {"image_id": image_id, "objects": new.objects, "classes": new.classes},
            )
            return new.renamed

    def close(self) -> None:
        """Folds the journal into its file, and lets other servers have the project."""
        self._recorded.close()


def _fields(outline: Outline) -> dict[str, Any]:
    """The fields of an event that an outline gives to an object."""
    return {"mask": outline.mask.encode(), "drawn": geometry.to_json(outline.shape)}


def copy_limited(source: BinaryIO, target: BinaryIO, limit: int, name: str) -> None:
    """Copies a client's file. Raises UserError once it is longer than `limit` bytes."""
    length = 0
    while part := source.read(MEBIBYTE):
        length += len(part)
        require(
            length <= limit,
            f"{safety.printable(name)}: larger than the {limit // MEBIBYTE} MiB that are taken",
        )
        target.write(part)
