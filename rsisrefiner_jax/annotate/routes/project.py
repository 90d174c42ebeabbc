"""The project as a whole."""

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Body, Query

from rsisrefiner_jax.annotate.context import Here
from rsisrefiner_jax.annotate.project_schemas import (
    ForecastOut,
    ImageName,
    IntervalOut,
    ModelOut,
    NetworkIn,
    NetworkOut,
    ProjectOut,
)
from rsisrefiner_jax.annotate.replies import ClassOut, Listing
from rsisrefiner_jax.annotate.requests import ClassIn
from rsisrefiner_jax.forecast import estimate
from rsisrefiner_jax.forecast.efforts import Group, efforts

router = APIRouter(tags=["project"])


@router.get("/project")
def project(here: Here) -> ProjectOut:
    """The project's images and classes, and whether the model is ready."""
    model = here.worker.segmenter
    return ProjectOut(
        id=here.project.id,
        name=here.project.folder.resolve().name,
        images=[ImageName(id=image.id, name=image.name) for image in here.project.images()],
        classes=[ClassOut(**vars(item)) for item in here.project.classes()],
        model=ModelOut(
            name=here.networks.in_use.name,
            image_size=model.image_size if model else None,
            ready=here.worker.ready,
            error=here.worker.error,
        ),
        networks=[
            NetworkOut(name=one.name, note=one.note, own=one.own, in_use=one.in_use)
            for one in here.networks.all()
        ],
        version=version("rsisrefiner-jax"),
    )


@router.put("/project/classes")
def classes(items: Annotated[list[ClassIn], Body(max_length=1000)], here: Here) -> list[ClassOut]:
    """Replaces the list of classes; one that objects have cannot be left out."""
    found = here.project.set_classes([item.model_dump() for item in items])
    return [ClassOut(**vars(item)) for item in found]


@router.put("/project/network")
def network(given: NetworkIn, here: Here) -> ProjectOut:
    """Answers clicks with another of the project's networks from now on; returns when it is loaded.

    Masks and clicks stay, also those of open sessions: the next click there is answered by the new
    network, from all clicks of that object.
    """
    here.networks.use(given.name)
    return project(here)


@router.get("/project/forecast")
def forecast(remaining: Annotated[int, Query(ge=1, lt=10**9)], here: Here) -> ForecastOut:
    """Clicks and hours for so many objects more, from what the finished ones took."""
    done = efforts(list(here.project.journal.events()), here.project.folder)
    found = estimate.forecast(done, {Group(): remaining})
    return ForecastOut(
        finished=len(done),
        clicks_each=sum(one.clicks for one in done) / len(done),
        seconds_each=sum(one.seconds for one in done) / len(done),
        remaining=remaining,
        clicks=IntervalOut(**found.clicks._asdict()),
        hours=IntervalOut(**found.hours._asdict()),
    )


@router.get("/roots")
def roots(here: Here, under: str = "") -> Listing:
    """Folders and rasters that can be opened, directly under a path."""
    folders, files = here.project.roots.listing(under)
    return Listing(folders=folders, files=files)
