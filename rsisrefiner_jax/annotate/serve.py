"""Starting the server: project, model, address."""

import contextlib
import socket
import threading
import warnings
from pathlib import Path

import uvicorn
from rasterio.errors import NotGeoreferencedWarning

from rsisrefiner_jax.annotate import listing, stopping
from rsisrefiner_jax.annotate.access import Access
from rsisrefiner_jax.annotate.app import make_app
from rsisrefiner_jax.annotate.context import Context
from rsisrefiner_jax.annotate.loading import load
from rsisrefiner_jax.annotate.project import Project
from rsisrefiner_jax.annotate.safety import DRIVERS, Roots
from rsisrefiner_jax.annotate.worker import Worker
from rsisrefiner_jax.data.project import network_paths
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.networks import DEFAULT, PACKAGED


def serve(
    images: list[Path],
    roots: list[Path],
    project: Path,
    checkpoint: Path | None,
    access: Access,
    upload_quota: float,
) -> int:
    """Serves until it is stopped; see `stopping`. The project is closed then.

    checkpoint: None: the one that was used last in the project.

    Returns:
        The exit status.

    Raises:
        UserError: an image, the project or the address cannot be opened.
    """
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    folders = [path if path.is_dir() else path.resolve().parent for path in images]
    with stopping.by_signals():
        opened = Project(project, Roots([*folders, *roots] or [Path()]))
        try:
            return _serve(opened, images, checkpoint, access, upload_quota)
        finally:
            with stopping.undisturbed():
                opened.close()


def _serve(
    opened: Project,
    images: list[Path],
    checkpoint: Path | None,
    access: Access,
    upload_quota: float,
) -> int:
    chosen = checkpoint or used_last(opened)
    network = network_paths.name_of(chosen, opened.folder)
    for path in images:
        for file in rasters_in(path):
            try:
                opened.add_image(file)
            except UserError as error:
                require(path.is_dir(), str(error))
                print(f"left out: {error}", flush=True)
    opened.use_network(network)
    worker = Worker(lambda: load(chosen))
    threading.Thread(target=prepare, args=(opened,), daemon=True).start()
    token = access.token_for(opened.folder)
    context = Context(opened, worker, network, upload_quota, load)
    listening = _listen(access.host, access.port)
    port = listening.getsockname()[1]
    app = make_app(context, access.hosts(port), token, access.origins(port), access.prefix(port))
    print(f"project: {opened.folder}", flush=True)
    if token is None:
        print("note: whoever reaches this server may use it (--no-token)", flush=True)
    print(f"open {access.address(port, token)}", flush=True)
    # One process: it alone holds the project and the model.
    config = uvicorn.Config(
        stopping.answered(app), log_level="warning", lifespan="off", timeout_graceful_shutdown=3
    )
    server = _Server(config, worker)
    status = stopping.STOPPED
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        status = stopping.INTERRUPTED
    except SystemExit:  # by the other signals, once the requests have ended
        pass
    with stopping.undisturbed():
        context.exports.close()
        worker.stop(compiled=False)
    return status


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self._worker = worker

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._worker.refuse()  # so that no request waits for a click that is not computed any more
        await super().shutdown(sockets)


def used_last(project: Project) -> Path:
    """The checkpoint that last answered clicks in a project.

    It is the package's default where none has yet, or where that checkpoint is gone.
    """
    name = project.network or DEFAULT
    checkpoint = network_paths.folder_of(name, project.folder)
    if checkpoint.is_dir():
        return checkpoint
    print(f"note: {checkpoint}: the network used last is gone; {DEFAULT} is used", flush=True)
    return PACKAGED[DEFAULT]


def prepare(project: Project) -> None:
    """Makes lists of objects, previews and stretches before anybody asks for them, then takes note
    of what the files hold."""
    listing.prepare(project)
    for image in project.images():
        with contextlib.suppress(UserError):  # said when the image is looked at
            project.source(image).stretch(image.recipe)
    for image in project.images():
        project.files.remember(image.id)


def rasters_in(path: Path) -> list[Path]:
    """The file itself, or the rasters directly in a folder."""
    if not path.is_dir():
        return [path]
    files = (file for file in sorted(path.iterdir()) if file.suffix.lower() in DRIVERS)
    return [file for file in files if file.is_file()]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another --port"
        ) from error
    listening.listen(128)  # who asks before the server runs is kept waiting
    return listening
