"""A whole job: from the command line's words to the layer that is written."""

import contextlib
import dataclasses
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from rsisrefiner_jax.annotate.project import AT_FIRST
from rsisrefiner_jax.data.geo import LAYER
from rsisrefiner_jax.errors import STOP_SIGNALS, Stopped, require
from rsisrefiner_jax.formats.polygons import stated_system
from rsisrefiner_jax.formats.raster_info import Raster
from rsisrefiner_jax.formats.remote import is_address
from rsisrefiner_jax.networks import DEFAULT, checkpoint_folder
from rsisrefiner_jax.refine import KEEP_BELOW, local, output
from rsisrefiner_jax.refine.answer import Answer
from rsisrefiner_jax.refine.job import Job, network_digest, open_named, stamp
from rsisrefiner_jax.refine.journal import Journal
from rsisrefiner_jax.refine.layer import Fields, Layer, read_layer
from rsisrefiner_jax.refine.local import Answered
from rsisrefiner_jax.refine.placing import Block, Prompt, blocks, place
from rsisrefiner_jax.refine.summary import summary

WORK = ".work"  # ends the name of the folder beside the output that holds what is finished

Engine = Callable[[Job, Sequence[Block]], Iterator[Answered]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is asked for. prompts: a file, or FILE|layername=NAME. overrides: of the configuration.

    actors: of a Ray cluster, at most; None: as many as it has GPUs or machines.
    """

    rasters: tuple[str, ...]
    prompts: str
    out: Path
    fields: Fields
    checkpoint: str = DEFAULT
    overrides: tuple[str, ...] = ()
    keep_below: float = KEEP_BELOW
    engine: str = "local"
    actors: int | None = None


@dataclasses.dataclass(frozen=True)
class Asked:
    """A layer on its rasters."""

    rasters: list[Raster]
    layer: Layer
    prompts: list[Prompt]


def run(settings: Settings) -> None:
    """Refines a layer, or goes on with it; see `__main__`.

    Raises:
        UserError: something cannot be read or written, or the output is there already.
        Stopped: a signal came; the same command goes on.
    """
    work = settings.out.with_name(settings.out.name + WORK)
    require(settings.out.suffix.lower() == ".gpkg", f"--out {settings.out}: name it *.gpkg")
    require(
        work.is_dir() or not settings.out.exists(),
        f"--out {settings.out}: it is there already; name another one or delete it",
    )
    require(0 <= settings.keep_below <= 1, f"--keep-below {settings.keep_below}: an IoU, 0 to 1")
    asked = ask(settings.rasters, settings.prompts, settings.fields)
    checkpoint = str(checkpoint_folder(settings.checkpoint).absolute())
    paths = tuple(one if is_address(one) else os.path.abspath(one) for one in settings.rasters)
    job = Job(
        rasters=paths,
        stamps=tuple(map(stamp, paths)),
        checkpoint=checkpoint,
        overrides=settings.overrides,
        network=network_digest(checkpoint, settings.overrides),
        recipe=AT_FIRST,
        keep_below=settings.keep_below,
    )
    journal = Journal(work, job.about(asked.prompts))
    with contextlib.closing(journal), stopped_by_signals():
        answer(job, list(blocks(asked.prompts)), journal, engine(settings))
        answers = output.answers_of(asked.layer, journal.answers())
        write(asked, answers, settings.out, work)
        journal.remove()


def ask(rasters: Sequence[str], prompts: str, fields: Fields) -> Asked:
    """Reads a layer and puts it on rasters. Raises UserError."""
    infos = [open_named(raster) for raster in rasters]
    nowhere = [info.path for info in infos if info.transform is None]
    require(
        len(infos) == 1 or not nowhere,
        f"{nowhere[0] if nowhere else ''}: it is not georeferenced, so that of several rasters "
        "nobody can tell which one the layer means; give it alone",
    )
    path, _, name = prompts.partition(LAYER)
    systems: list[str | None] = []

    def system(stated: str | None) -> str | None:
        systems[:] = [stated_system(Path(path), path, stated, info) for info in infos]
        return systems[0]

    layer = read_layer(Path(path), name, fields, system)
    return Asked(infos, layer, place(layer, infos, systems))


def engine(settings: Settings) -> Engine:
    """What answers blocks."""
    if settings.engine == "local":
        return local.answered
    from rsisrefiner_jax.refine import on_ray

    return functools.partial(on_ray.answered, actors=settings.actors)


def answer(job: Job, todo: Sequence[Block], journal: Journal, engine: Engine) -> None:
    """Answers the blocks that the journal does not have yet."""
    sizes = {block.number: len(block.prompts) for block in todo}
    left = [block for block in todo if block.number not in journal.done]
    had = sum(sizes[number] for number in journal.done)
    if had:
        print(f"goes on: {had:,} of {sum(sizes.values()):,} objects were answered before")
    if not left:
        return
    with tqdm(total=sum(sizes.values()), initial=had, unit="object", desc="refining") as bar:
        for number, answers in engine(job, left):
            journal.add(number, answers)
            bar.update(sizes[number])


def write(asked: Asked, answers: Sequence[Answer], out: Path, work: Path) -> None:
    """Writes the output, which is there whole or not at all, and says what came of the objects."""
    overlaps = output.overlaps(asked.prompts, answers)
    made = work / "refined.gpkg"
    made.unlink(missing_ok=True)
    output.write(made, asked.layer, asked.prompts, asked.rasters, answers, overlaps)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(made, out)
    refined = sum(one.mask is not None for one in answers)
    print(f"{out}: {refined:,} of {len(answers):,} objects have a new outline")
    for line in summary(answers, overlaps):
        print(line)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """The signals that ask a run to end raise Stopped; Ctrl-C stays what it is."""

    def stop(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        raise Stopped(f"stopped by {name}; the same command goes on with what is left")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What comes ignored (nohup) stays so.
    taken = [
        number
        for number in STOP_SIGNALS
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, stop) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
