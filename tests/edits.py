"""What tests of the annotator's history do to a project of one image, through its API."""

import numpy as np

from tests import annotating

SQUARE = {"type": "Polygon", "coordinates": [[[1.5, 1], [9, 1], [9, 9], [1.5, 9], [1.5, 1]]]}


def ok(reply, status=200):
    assert reply.status_code == status, reply.text
    return reply.json()


def refused(reply, *words):
    assert reply.status_code == 409, reply.text
    assert all(word in reply.json()["detail"] for word in words), reply.text


def draw(client, box=(5, 5, 20, 20), object_id=None, finish=True):
    """A session with a mask in it, finished or not."""
    left, top, right, bottom = box
    mask = np.zeros((annotating.HEIGHT, annotating.WIDTH), bool)
    mask[top:bottom, left:right] = True
    session = ok(client.post("/api/sessions", json={"image_id": 1, "object_id": object_id}))
    given = {"png": annotating.grey_png(mask)}
    ok(client.put(f"/api/sessions/{session['id']}/mask", json=given))
    if finish:
        return ok(client.post(f"/api/sessions/{session['id']}/finish"))
    return session["id"]


def objects(client, **query):
    return ok(client.get("/api/images/1/objects", params=query))


def history(client):
    ends = ok(client.get("/api/images/1/history"))
    return [end and end["label"] for end in (ends["undo"], ends["redo"])]


def move(client, kind, **given):
    return ok(client.post(f"/api/images/1/{kind}", json=given))
