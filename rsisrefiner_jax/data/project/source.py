"""The data SPEC `project:DIR`: a project of the annotator, or what was exported of a whole one.

Options follow, as in `project:DIR,until=120,part=train,window=320`:

part    `train`, `held-out` (`division`) or `all`: a scene for every object of that part, a window
        about it at native resolution; without it every picture is one scene, whole.
window  the least side of these windows, pixels.
until   the number of the last event of the project that counts, so that the objects stay the same
        while an annotator goes on.
"""

import re
from collections import defaultdict
from pathlib import Path

from rsisrefiner_jax.data.annotated_picture import AnnotatedPicture, with_files
from rsisrefiner_jax.data.coco import CocoSource
from rsisrefiner_jax.data.project.division import PARTS
from rsisrefiner_jax.data.project.events import NAME, read_events
from rsisrefiner_jax.data.project.object_windows import ObjectWindows
from rsisrefiner_jax.data.project.raster_paths import in_common_folder
from rsisrefiner_jax.data.project.records import Object
from rsisrefiner_jax.data.project.state import State
from rsisrefiner_jax.data.scene import Scene, Source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.left_out import LeftOut

EXPORTED = "instances.json"  # COCO, which says itself where its pictures lie
WINDOW = 512
_OPTION = re.compile(r",\s*(part|window|until)=([^,]*)$")


def open_project(argument: str, recipe: Recipe = Recipe()) -> Source:
    """A project's folder, or one that `python -m rsisrefiner_jax.annotate.export` wrote, and
    options as above.

    Raises:
        UserError: it is neither, there is no object, or an option that cannot be meant.
    """
    folder, options = split_options(argument)
    exported = Path(folder) / EXPORTED
    source: ProjectSource | CocoSource | None = None
    if (Path(folder) / NAME).is_file():
        source = ProjectSource(folder, recipe, int(options["until"]) if options["until"] else None)
    elif exported.is_file():
        require(not options["until"], f"project:{argument}: an export knows no events (until)")
        source = CocoSource(None, str(exported), recipe)
    if source is None:
        raise UserError(
            f"{folder}: no project of the annotator ({NAME}) and no export of one ({EXPORTED})"
        )
    if not options["part"]:
        return source
    side = int(options["window"] or WINDOW)
    return ObjectWindows(source.pictures, options["part"], side, source.left_out)


def split_options(argument: str) -> tuple[str, dict[str, str]]:
    """The folder in what follows `project:`, and its options, "" where they are not given.

    Raises:
        UserError: an option twice, or a value that it cannot have.
    """
    given: dict[str, str] = {}
    folder = argument
    while found := _OPTION.search(folder):
        require(found[1] not in given, f"project:{argument}: {found[1]} is given twice")
        given[found[1]] = found[2].strip()
        folder = folder[: found.start()]
    for name in ("window", "until"):
        require(
            name not in given or (given[name].isdecimal() and int(given[name]) > 0),
            f"project:{argument}: {name} is a whole number",
        )
    require(
        given.get("part", PARTS[0]) in PARTS,
        f"project:{argument}: the parts are {', '.join(PARTS)}",
    )
    return folder.strip(), {name: given.get(name, "") for name in ("part", "window", "until")}


def read_state(folder: Path, until: int | None = None) -> tuple[State, int]:
    """What a project has come to with its event number `until`, or its last; and that number.

    Raises:
        UserError: it cannot be opened.
    """
    state, last = State(folder), 0
    for event in read_events(folder / NAME, until):
        state.apply(event)
        last = event.id
    return state, last


class ProjectSource:
    """Scenes of a project's images, in the order in which they were added.

    Only images with a finished object are scenes; `pictures_without_objects` counts the others.
    A scene goes by the path of its picture in the folder that holds them all. Pictures that are
    gone, broken or of another size than the one that was annotated are counted in `left_out`.

    Args:
        folder: of the project.
        recipe: how pictures become RGB; the default is as each is shown in the annotator.
        until: the number of the last event that counts.

    Raises:
        UserError: it cannot be opened, or there is no object in it.
    """

    def __init__(self, folder: str, recipe: Recipe = Recipe(), until: int | None = None) -> None:
        state, _ = read_state(Path(folder), until)
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

    @property
    def pictures(self) -> list[tuple[AnnotatedPicture, Recipe]]:
        """Those of the scenes, and how each becomes RGB."""
        return list(zip(self._pictures, self._recipes, strict=True))

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Scene:
        """Reads one scene. Raises UserError when its picture is broken or of another size."""
        return self._pictures[index].scene(self._recipes[index])
