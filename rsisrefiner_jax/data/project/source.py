"""The data SPEC `project:DIR`: a project of the annotator, or what was exported of a whole one."""

from collections import defaultdict
from pathlib import Path

from rsisrefiner_jax.data.annotated_picture import AnnotatedPicture, with_files
from rsisrefiner_jax.data.coco import CocoSource
from rsisrefiner_jax.data.project.events import NAME, read_events
from rsisrefiner_jax.data.project.raster_paths import in_common_folder
from rsisrefiner_jax.data.project.records import Object
from rsisrefiner_jax.data.project.state import State
from rsisrefiner_jax.data.scene import Scene, Source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.left_out import LeftOut

EXPORTED = "instances.json"  # COCO, which says itself where its pictures lie


def open_project(folder: str, recipe: Recipe = Recipe()) -> Source:
    """A project's folder, or one that `python -m rsisrefiner_jax.annotate.export` wrote.

    Raises:
        UserError: it is neither, an annotator has the project open, or there is no object.
    """
    if (Path(folder) / NAME).is_file():
        return ProjectSource(folder, recipe)
    exported = Path(folder) / EXPORTED
    if exported.is_file():
        return CocoSource(None, str(exported), recipe)
    raise UserError(
        f"{folder}: no project of the annotator ({NAME}) and no export of one ({EXPORTED})"
    )


class ProjectSource:
    """Scenes of a project's images, in the order in which they were added.

    Only images with a finished object are scenes; `pictures_without_objects` counts the others.
    A scene goes by the path of its picture in the folder that holds them all. Pictures that are
    gone, broken or of another size than the one that was annotated are counted in `left_out`.

    Args:
        folder: of the project.
        recipe: how pictures become RGB; the default is as each is shown in the annotator.

    Raises:
        UserError: an annotator has the project open, or there is no object in it.
    """

    def __init__(self, folder: str, recipe: Recipe = Recipe()) -> None:
        state = State(Path(folder))
        for event in read_events(Path(folder) / NAME):
            state.apply(event)
        found: dict[int, list[Object]] = defaultdict(list)
        for _, object in sorted(state.objects.items()):
            if not object.deleted:
                found[object.image.id].append(object)
        images = [image for image in state.images.values() if image.id in found]
        require(bool(images), f"{folder}: there is no object in this project")
        self.pictures_without_objects = len(state.images) - len(images)
        self.left_out = LeftOut()
        names: dict[int | None, str] = {None: ""}
        names |= {item.id: item.name for item in state.classes.values()}
        _, paths = in_common_folder([image.path for image in images])
        pictures = [
            AnnotatedPicture(
                name=path,
                path=str(image.path),
                size=(image.info.height, image.info.width),
                objects=tuple((o.id, names[o.class_id], o.encoded) for o in found[image.id]),
                stated_by="the project",
            )
            for image, path in zip(images, paths, strict=True)
        ]
        self._pictures = with_files(pictures, self.left_out)
        require(bool(self._pictures), f"{folder}: {self.left_out.sentence()}")
        given = None if recipe == Recipe() else recipe
        shown = {str(image.path): image.recipe for image in images}
        self._recipes = [given or shown[picture.path] for picture in self._pictures]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Scene:
        """Reads one scene. Raises UserError when its picture is broken or of another size."""
        return self._pictures[index].scene(self._recipes[index])
