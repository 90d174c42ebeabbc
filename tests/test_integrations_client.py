"""The typed client is the API that the server documents, whole; and it works."""

import inspect
import json
import re
import sys
import types
import typing

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from tests import annotating, integrations

FOLDER = integrations.FOLDER / "python_client"


@pytest.fixture(scope="module")
def package():
    """The client's package, installed or not."""
    sys.path.insert(0, str(FOLDER))
    try:
        import rsisrefiner_client.models
        from rsisrefiner_client import client

        yield types.SimpleNamespace(client=client, models=rsisrefiner_client.models)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture
def annotator(package, client):
    return package.client.Annotator("http://localhost", http=client)


@pytest.fixture
def document(client):
    return client.get("/api/openapi.json").json()


OWN = ("HTTPValidationError", "ValidationError")  # FastAPI's, which the server does not reply


def written(schema):
    """A schema as Python writes the type of what json.load makes of it."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(sorted({written(one) for one in schema["anyOf"]}))
    if "oneOf" in schema:  # of GeoJSON's geometries
        return "dict[str, Any]"
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(repr(value) for value in values)}]"
    if schema["type"] == "array":
        items = {written(one) for one in schema.get("prefixItems", [schema.get("items")])}
        (item,) = items
        return f"list[{item}]"
    if schema["type"] == "object":
        values = schema["additionalProperties"]
        return f"dict[str, {'Any' if values is True else written(values)}]"
    names = {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}
    return names.get(schema["type"], "None")


def described(kind):
    """A type as `written` writes it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.NotRequired:
        return described(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted({described(one) for one in arguments}))
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(value) for value in arguments)}]"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(described(one) for one in arguments)}]"
    return {type(None): "None", typing.Any: "Any"}.get(kind) or kind.__name__


def test_the_models_are_the_schemas(package, document):
    schemas = {k: v for k, v in document["components"]["schemas"].items() if k not in OWN}
    # These two are described inside the requests that they belong to.
    schemas |= {"PathIn": _path_schema(document)}
    models = {
        name: model
        for name, model in vars(package.models).items()
        if typing.is_typeddict(model) and not name.startswith("_") and name != "TypedDict"
    }
    assert models.keys() == schemas.keys()
    for name, schema in schemas.items():
        hints = typing.get_type_hints(models[name], include_extras=True)
        expected = {key: written(value) for key, value in schema["properties"].items()}
        assert {key: described(kind) for key, kind in hints.items()} == expected, name
        assert models[name].__required_keys__ == set(schema.get("required", ())), name


def _path_schema(document):
    return document["paths"]["/api/images"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]


class Recorder:
    """Stands for httpx.Client: remembers what is sent, and replies nothing."""

    def __init__(self):
        self.sent = []

    def request(self, method, url, **given):
        self.sent.append((method, url, given))
        reply = types.SimpleNamespace(is_error=False, content=b"", json=lambda: None)
        return reply


def dummy(kind):
    options = [one for one in (typing.get_args(kind) or [kind]) if one is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return options[0]
    chosen = options[0]
    if typing.get_origin(chosen) is typing.Literal:
        return typing.get_args(chosen)[0]
    return {int: 1, float: 1.0, str: "x", bool: True}.get(chosen)


def test_every_request_is_a_method(package, document, tmp_path):
    """Each method sends one request of the document, with all its parameters, and none is left."""
    file = tmp_path / "file.png"
    file.write_bytes(b"x")
    found = {}
    for name, method in vars(package.client.Annotator).items():
        if name.startswith("_") or name == "close":
            continue
        recorder = Recorder()
        annotator = package.client.Annotator("http://x", http=recorder)
        hints = typing.get_type_hints(method, include_extras=True)
        given, body_model = {}, None
        for parameter in list(inspect.signature(method).parameters.values())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                (body_model,) = typing.get_args(hints[parameter.name])
            elif parameter.name == "file":
                given["file"] = file
            elif parameter.name == "classes":
                given["classes"] = []
            else:
                given[parameter.name] = dummy(hints[parameter.name])
        getattr(annotator, name)(**given)
        ((verb, url, sent),) = recorder.sent
        path = url.removeprefix("http://x")
        found[name] = (verb.lower(), path, sent, body_model, hints["return"], given)
    left = {
        (verb, path): operation
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
    }
    done = set()
    for name, (verb, path, sent, body_model, result, given) in found.items():
        key = next(key for key in left if key[0] == verb and _fits(key[1], path))
        done.add(key)
        operation = left[key]
        queries = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
        assert sent["params"].keys() == queries, name
        content = operation.get("requestBody", {}).get("content", {})
        if body_model is not None:
            schema = content["application/json"]["schema"]
            if schema.get("title") == "PathIn":
                assert body_model.__name__ == "PathIn"
            else:
                assert body_model.__name__ == _named(schema), name
        if "file" in given:
            fields = content["multipart/form-data"]["schema"]["properties"].keys()
            assert {"file", *sent["data"]} == fields, name
        replied = next(v for k, v in operation["responses"].items() if k.startswith("2"))
        schema = replied["content"].get("application/json", {}).get("schema")
        assert described(result) == (written(schema) if schema else "bytes"), name
    assert done == left.keys()


def _fits(template, path):
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(template)), path)


def _named(schema):
    """The name of a body's schema, which may be left out."""
    return next(written(one) for one in schema.get("anyOf", [schema]) if "$ref" in one)


def square(left, top, side):
    right, bottom = left + side, top + side
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_worked_round(package, annotator, tmp_path):
    image = annotator.open_image(path="data/scene.tif")
    assert (image["width"], image["height"]) == (annotating.WIDTH, annotating.HEIGHT)
    (boat,) = annotator.set_classes([{"name": "boat"}])
    session = annotator.start_session(image_id=image["id"])
    stern = np.ones((8, 12), bool)
    step = annotator.set_mask(session["id"], png=annotating.grey_png(stern), x=10, y=20)
    assert (step["area_px"], step["changed"]["w"]) == (96, 12)
    assert annotator.undo(session["id"])["area_px"] == 0
    assert annotator.redo(session["id"])["area_px"] == 96
    assert [one["id"] for one in annotator.sessions(image_id=image["id"])] == [session["id"]]
    made = annotator.finish(session["id"], class_id=boat["id"], attributes={"sure": True})
    annotator.add_object(image["id"], geometry=square(40, 10, 6), class_id=boat["id"])
    changed = annotator.change_object(made["id"], class_id=None)
    assert (changed["class_id"], changed["attributes"]) == (None, {"sure": True})
    assert len(annotator.objects(image["id"])) == 2
    assert annotator.undo_edit(image["id"])["changed"][0]["class_id"] == boat["id"]
    content = annotator.export(image["id"], "geojson")
    assert len(json.loads(content)["features"]) == 2
    file = tmp_path / "objects.geojson"
    file.write_bytes(content)
    seen = annotator.preview_import(image["id"], file)
    assert (seen["objects"], seen["identical"]) == (2, 2)
    assert annotator.import_objects(image["id"], file, repeated="add")["objects"] == 2
    assert annotator.delete_object(made["id"]) == {"ok": True}
    assert annotator.restore_object(made["id"])["id"] == made["id"]
    assert annotator.tile(image["id"], 0, 0, 0).startswith(b"\x89PNG")
    assert annotator.point(image["id"], 1.5, 2.5)["crs"] == "EPSG:32632"
    again = annotator.upload_image(tmp_path / "data" / "scene.tif")
    assert again["name"] == "scene.tif"


def test_what_the_server_refuses(package, here, client):
    Refused = package.client.Refused
    annotator = package.client.Annotator("http://localhost/", http=client)
    with pytest.raises(Refused, match=r"data/none\.tif: no such file") as refused:
        annotator.open_image(path="data/none.tif")
    assert refused.value.status == 422
    guarded = annotating.client(here, token="so secret that nobody guesses it")
    with pytest.raises(Refused, match="a token is needed"):
        package.client.Annotator("http://localhost", http=guarded).project()
    known = package.client.Annotator(
        "http://localhost", token="so secret that nobody guesses it", http=guarded
    )
    assert known.project()["name"] == "project"


def test_a_token_from_the_environment(package, monkeypatch):
    monkeypatch.setenv("RSISREFINER_TOKEN", "abc")
    recorder = Recorder()
    package.client.Annotator(http=recorder).project()
    ((_, url, sent),) = recorder.sent
    assert url == "http://localhost:8000/api/project"
    assert sent["headers"] == {"Authorization": "Bearer abc"}
