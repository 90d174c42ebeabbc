"""The page's types come from what the server says of its requests and replies."""

import json
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from rsisrefiner_jax.annotate.app import schemas

FILE = Path(__file__).parents[1] / "annotate-page" / "openapi.json"


def document() -> dict:
    """What annotate-page/openapi.json has to hold, of which npm run types makes src/schema.ts."""
    about = {"title": "rsisrefiner_jax annotator", "version": "0"}
    schema = {"schemas": schemas()}
    return {"openapi": "3.1.0", "info": about, "paths": {}, "components": schema}


def test_the_page_knows_the_server():
    assert json.loads(FILE.read_text()) == document(), (
        "annotate-page/openapi.json is not what the server says; write it with "
        "python -m tests.test_annotate_page_types and run npm run types in annotate-page"
    )


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=2) + "\n")
