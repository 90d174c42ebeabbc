"""Finishing: refinements that meet each other, and what is asked for twice."""

import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.formats import geometry
from tests.edits import SQUARE, draw, move, objects, ok, refused


def test_a_finished_refinement_is_not_lost_to_another_one(start):
    client = start()
    draw(client)
    first = draw(client, (5, 5, 25, 25), object_id=1, finish=False)
    second = ok(client.post("/api/sessions", json={"image_id": 1, "object_id": 1}))
    assert second["also_refining"] == [first]
    assert ok(client.get(f"/api/sessions/{first}"))["also_refining"] == [second["id"]]
    assert not second["outdated"]
    refined = ok(client.post(f"/api/sessions/{first}/finish"))
    client = start()
    path = f"/api/sessions/{second['id']}"
    assert ok(client.get(path)) == {**second, "outdated": True, "also_refining": []}
    refused(client.post(f"{path}/finish"), "object 1", "overwrite", "discard")
    assert objects(client) == [refined]
    assert len(ok(client.get("/api/sessions"))) == 1  # still open
    after = ok(client.post(f"{path}/finish", json={"overwrite": True}))
    assert after["area_px"] == 15 * 15
    assert ok(client.post(f"{path}/finish")) == after
    move(client, "undo")
    assert objects(client) == [refined]


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda client: client.patch("/api/objects/1", json={"geometry": SQUARE}), True),
        (lambda client: client.delete("/api/objects/1"), True),
        (lambda client: client.post("/api/images/1/undo"), True),
        (lambda client: client.patch("/api/objects/1", json={"attributes": {"a": 1}}), False),
        (lambda client: [client.post(f"/api/images/1/{k}") for k in ("undo", "redo")][1], False),
    ],
    ids=["outline", "deleted", "undone", "attributes", "as it was"],
)
def test_only_other_pixels_or_deletion_are_in_the_way(start, change, lost):
    client = start()
    draw(client)
    id = draw(client, (5, 5, 25, 25), object_id=1, finish=False)
    ok(change(client))
    reply = client.post(f"/api/sessions/{id}/finish")
    if lost:
        refused(reply, "overwrite")
        reply = client.post(f"/api/sessions/{id}/finish", json={"overwrite": True})
    made = ok(reply)
    assert made["area_px"] == 400
    assert made["attributes"] == ({"a": 1} if not lost and "a" in made["attributes"] else {})
    assert objects(client) == [made]


def test_overwriting_without_a_click_brings_the_old_outline_back(start):
    client = start()
    draw(client)
    drawn = ok(client.patch("/api/objects/1", json={"geometry": SQUARE}))
    session = ok(client.post("/api/sessions", json={"image_id": 1, "object_id": 1}))
    draw(client, (40, 40, 50, 50), object_id=1)
    path = f"/api/sessions/{session['id']}/finish"
    after = ok(client.post(path, json={"overwrite": True}))
    assert geometry.from_json(after["geometry"]).equals(geometry.from_json(drawn["geometry"]))
    assert after["area_px"] == drawn["area_px"]


def finish(client, id, **given):
    return client.post(f"/api/sessions/{id}/finish", json=given)


def test_finished_again_in_another_way_is_refused(start):
    client = start()
    ok(client.put("/api/project/classes", json=[{"name": "house"}, {"name": "lake"}]))
    given = {"class_id": 1, "attributes": {"a": 1, "b": "x"}}
    id = draw(client, finish=False)
    made = ok(finish(client, id, **given))
    for restarts in (False, True):
        client = start() if restarts else client
        assert ok(finish(client, id, **given)) == made
        assert ok(finish(client, id, attributes={"b": "x", "a": 1})) == made
        assert ok(finish(client, id)) == made  # nothing is asked for that could be ignored
        refused(finish(client, id, class_id=2), "another class_id", "PATCH /api/objects/1")
        refused(finish(client, id, class_id=None), "another class_id")
        refused(finish(client, id, class_id=2, attributes={}), "class_id and attributes")
        refused(finish(client, id, attributes={"a": True, "b": "x"}), "another attributes")
        reply = finish(client, id, class_id=7)
        assert (reply.status_code, reply.json()["detail"][:11]) == (422, "class_id 7:")
    assert objects(client) == [made]
    # What was done to the object since does not make a repeated request another one.
    ok(client.patch("/api/objects/1", json={"class_id": 2}))
    assert [ok(finish(client, id, **given))] == objects(client) != [made]
    refused(finish(client, id, class_id=2), "another class_id")


def test_a_refinement_finished_again(start):
    """What was left out stayed, and leaving it out again is the same."""
    client = start()
    ok(client.put("/api/project/classes", json=[{"name": "house"}]))
    ok(finish(client, draw(client, finish=False), class_id=1, attributes={"a": 1}))
    id = draw(client, (5, 5, 25, 25), object_id=1, finish=False)
    made = ok(finish(client, id, attributes={"a": 2}))
    assert made["class_id"] == 1
    assert ok(finish(client, id, attributes={"a": 2})) == made
    refused(finish(client, id, attributes={"a": 1}), "another attributes")
    refused(finish(client, id, class_id=None), "another class_id")
