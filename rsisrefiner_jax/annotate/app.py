"""The web application."""

import sqlite3
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from rsisrefiner_jax.annotate.context import Context, require_same_project
from rsisrefiner_jax.annotate.guard import App, Guard
from rsisrefiner_jax.annotate.refusals import Busy, Conflict, Missing, NoSpace, NotReady
from rsisrefiner_jax.annotate.routes import (
    exports,
    files,
    history,
    images,
    objects,
    predict,
    project,
    samgeo,
    sessions,
)
from rsisrefiner_jax.errors import UserError

PAGE = Path(__file__).parent / "page"
STATUS: dict[type[Exception], int] = {
    Missing: 404,
    Conflict: 409,
    NotReady: 503,
    Busy: 503,
    NoSpace: 507,
}


def make_app(
    context: Context,
    hosts: tuple[str, ...] = (),
    token: str | None = None,
    origins: tuple[str, ...] = (),
    prefix: str = "/",
) -> App:
    """The application over a project; see `guard.Guard` for the rest."""
    app = _with_routes()
    app.state.context = context
    app.add_exception_handler(UserError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(sqlite3.Error, _unwritten)
    app.add_exception_handler(Exception, _defect)

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        index = PAGE / "index.html"
        if not index.is_file():
            return JSONResponse(
                {"detail": "the page has not been built; the API is under /api"}, 404
            )
        return FileResponse(index, headers={"Cache-Control": "no-cache"})

    app.mount("/", StaticFiles(directory=PAGE, check_dir=False))
    return Guard(app, hosts, token, origins, prefix)


def schemas() -> dict[str, Any]:
    """The JSON schemas of requests and replies by name, of which the page's types are made."""
    found = _with_routes().openapi()["components"]["schemas"]
    return {name: schema for name, schema in found.items() if "ValidationError" not in name}


def _with_routes() -> FastAPI:
    app = FastAPI(
        title="rsisrefiner_jax annotator",
        openapi_url="/api/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to absolute addresses, which are wrong behind a proxy
        dependencies=[Depends(require_same_project)],
    )
    for part in (project, images, files, exports, objects, history, sessions, predict):
        app.include_router(part.router, prefix="/api")
    app.include_router(samgeo.router)
    return app


def _say(status: int, sentence: str) -> JSONResponse:
    plain = sentence.encode("utf-8", "replace").decode()
    return JSONResponse({"detail": plain}, status_code=status)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    response = _say(STATUS.get(type(error), 422), str(error))
    if response.status_code == 503:
        response.headers["Retry-After"] = "5"  # seconds
    return response


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return _say(422, f"{where[:200]}: {first['msg']}")


async def _unwritten(_: Request, error: Exception) -> JSONResponse:
    return _say(507, f"the project could not be written ({error}); is the disk full?")


async def _defect(_: Request, error: Exception) -> JSONResponse:
    return _say(500, f"a defect of this program ({type(error).__name__}); see its console")


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = _say(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response
