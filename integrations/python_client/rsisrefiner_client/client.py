"""The annotator's HTTP API, a method a request; docs/annotate/api.md says what it all means."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack

import httpx

from rsisrefiner_client import models

Kind = Literal["ids", "classes", "binary"]
Repeated = Literal["skip", "replace", "add"]


class Refused(Exception):
    """The server refused a request, in the words of the message. status: HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Annotator:
    """A running annotator.

        with Annotator(token=Path("scene.annotations/token").read_text().strip()) as annotator:
            session = annotator.start_session(image_id=1)
            annotator.click(session["id"], x=120.5, y=90.5)
            boat = annotator.finish(session["id"])

    Any method raises `Refused` for what the server refuses, and httpx.HTTPError where it cannot be
    reached.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        token: str | None = None,
        timeout: float = 300.0,
        http: httpx.Client | None = None,
    ) -> None:
        """token: None = the environment variable RSISREFINER_TOKEN; a server with --no-token needs
            none.
        timeout: seconds without a byte.
        http: sends the requests instead of a client of its own.
        """
        token = token or os.environ.get("RSISREFINER_TOKEN")
        self._api = f"{url.rstrip('/')}/api"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = http or httpx.Client(timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()

    # The project.

    def project(self) -> models.ProjectOut:
        return self._json("GET", "/project")

    def set_classes(self, classes: Sequence[models.ClassIn]) -> list[models.ClassOut]:
        return self._json("PUT", "/project/classes", list(classes))

    def use_network(self, **given: Unpack[models.NetworkIn]) -> models.ProjectOut:
        return self._json("PUT", "/project/network", given)

    def forecast(self, remaining: int) -> models.ForecastOut:
        return self._json("GET", "/project/forecast", remaining=remaining)

    def roots(self, under: str = "") -> models.Listing:
        return self._json("GET", "/roots", under=under)

    # Images.

    def open_image(self, **given: Unpack[models.PathIn]) -> models.ImageOut:
        return self._json("POST", "/images", given)

    def upload_image(self, file: str | Path) -> models.ImageOut:
        return self._file("/images", file)

    def image(self, id: int) -> models.ImageOut:
        return self._json("GET", f"/images/{id}")

    def accept_image(self, id: int) -> models.ImageOut:
        return self._json("POST", f"/images/{id}/accept")

    def set_recipe(self, id: int, **given: Unpack[models.RecipeIn]) -> models.ImageOut:
        return self._json("PUT", f"/images/{id}/recipe", given)

    def stretch(self, id: int) -> models.StretchOut:
        return self._json("GET", f"/images/{id}/stretch")

    def tile(self, id: int, level: int, column: int, row: int, v: str | None = None) -> bytes:
        """PNG."""
        return self._bytes(f"/images/{id}/tiles/{level}/{column}/{row}.png", v=v)

    def point(self, id: int, x: float, y: float, crs: str | None = None) -> models.PointOut:
        return self._json("GET", f"/images/{id}/point", x=x, y=y, crs=crs)

    # Files of objects.

    def preview_import(
        self,
        id: int,
        file: str | Path,
        kind: Kind | None = None,
        class_field: str | None = None,
        key: str | None = None,
    ) -> models.ImportPreviewOut:
        path = f"/images/{id}/import/preview"
        return self._file(path, file, kind=kind, class_field=class_field, key=key)

    def import_objects(
        self,
        id: int,
        file: str | Path,
        kind: Kind | None = None,
        class_field: str | None = None,
        repeated: Repeated | None = None,
        key: str | None = None,
    ) -> models.ImportOut:
        """key: chosen by the caller, for `import_progress` and `cancel_import` meanwhile."""
        fields = {"kind": kind, "class_field": class_field, "repeated": repeated, "key": key}
        return self._file(f"/images/{id}/import", file, **fields)

    def import_progress(self, key: str) -> models.ImportProgressOut:
        return self._json("GET", f"/imports/{key}")

    def cancel_import(self, key: str) -> models.Done:
        return self._json("DELETE", f"/imports/{key}")

    def export(self, id: int, format: str, simplify: float = 0, rectangles: bool = False) -> bytes:
        """The file's content; a zip where the format is several files."""
        options = {"format": format, "simplify": simplify, "rectangles": rectangles}
        return self._bytes(f"/images/{id}/export", **options)

    def start_export(self, id: int, **given: Unpack[models.ExportIn]) -> models.ExportOut:
        return self._json("POST", f"/images/{id}/exports", given)

    def watch_export(self, id: str) -> models.ExportOut:
        return self._json("GET", f"/exports/{id}")

    def cancel_export(self, id: str) -> models.Done:
        return self._json("DELETE", f"/exports/{id}")

    def fetch_export(self, id: str) -> bytes:
        return self._bytes(f"/exports/{id}/file")

    # Objects.

    def objects(
        self, id: int, crs: str | None = None, deleted: bool = False
    ) -> list[models.ObjectOut]:
        return self._json("GET", f"/images/{id}/objects", crs=crs, deleted=deleted)

    def flat_objects(self, id: int, deleted: bool = False) -> list[models.FlatObjectOut]:
        return self._json("GET", f"/images/{id}/objects/flat", deleted=deleted)

    def add_object(self, id: int, **given: Unpack[models.ObjectIn]) -> models.DrawnOut:
        return self._json("POST", f"/images/{id}/objects", given)

    def change_object(self, id: int, **given: Unpack[models.ObjectPatch]) -> models.DrawnOut:
        return self._json("PATCH", f"/objects/{id}", given)

    def delete_object(self, id: int) -> models.Done:
        return self._json("DELETE", f"/objects/{id}")

    def restore_object(self, id: int) -> models.ObjectOut:
        return self._json("POST", f"/objects/{id}/restore")

    # What was done to the objects of an image.

    def history(self, id: int) -> models.HistoryOut:
        return self._json("GET", f"/images/{id}/history")

    def undo_edit(self, id: int, **given: Unpack[models.EditIn]) -> models.EditOut:
        return self._json("POST", f"/images/{id}/undo", given)

    def redo_edit(self, id: int, **given: Unpack[models.EditIn]) -> models.EditOut:
        return self._json("POST", f"/images/{id}/redo", given)

    # Sessions: objects being drawn.

    def start_session(self, **given: Unpack[models.SessionIn]) -> models.SessionOut:
        return self._json("POST", "/sessions", given)

    def sessions(
        self, image_id: int | None = None, crs: str | None = None
    ) -> list[models.SessionOut]:
        return self._json("GET", "/sessions", image_id=image_id, crs=crs)

    def session(self, id: int, crs: str | None = None) -> models.SessionOut:
        return self._json("GET", f"/sessions/{id}", crs=crs)

    def discard(self, id: int) -> models.Discarded:
        return self._json("DELETE", f"/sessions/{id}")

    def click(self, id: int, **given: Unpack[models.ClickIn]) -> models.SteppedOut:
        return self._json("POST", f"/sessions/{id}/clicks", given)

    def undo(self, id: int, **given: Unpack[models.StepIn]) -> models.SteppedOut:
        return self._json("POST", f"/sessions/{id}/undo", given)

    def redo(self, id: int, **given: Unpack[models.StepIn]) -> models.SteppedOut:
        return self._json("POST", f"/sessions/{id}/redo", given)

    def set_mask(self, id: int, **given: Unpack[models.MaskIn]) -> models.SteppedOut:
        return self._json("PUT", f"/sessions/{id}/mask", given)

    def probability(self, id: int) -> bytes:
        """PNG."""
        return self._bytes(f"/sessions/{id}/probability.png")

    def finish(self, id: int, **given: Unpack[models.FinishIn]) -> models.ObjectOut:
        return self._json("POST", f"/sessions/{id}/finish", given)

    # Without a session.

    def predict(self, **given: Unpack[models.PredictIn]) -> models.PredictOut:
        return self._json("POST", "/predict", given)

    # How requests are sent.

    def _json(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self._sent(method, path, query, json=body).json()

    def _bytes(self, path: str, **query: Any) -> bytes:
        return self._sent("GET", path, query).content

    def _file(self, path: str, file: str | Path, **fields: str | None) -> Any:
        with ExitStack() as stack:
            files = {"file": (Path(file).name, stack.enter_context(open(file, "rb")))}
            return self._sent("POST", path, {}, files=files, data=_given(fields)).json()

    def _sent(
        self, method: str, path: str, query: Mapping[str, Any], **body: Any
    ) -> httpx.Response:
        reply = self._http.request(
            method, f"{self._api}{path}", params=_given(query), headers=self._headers, **body
        )
        if reply.is_error:
            raise Refused(reply.status_code, _sentence(reply))
        return reply


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _sentence(reply: httpx.Response) -> str:
    try:
        return str(reply.json()["detail"])
    except (ValueError, KeyError, TypeError):  # from a proxy in between
        return f"{reply.status_code} {reply.reason_phrase}"
