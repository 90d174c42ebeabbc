"""Undo of what happened to finished objects: for good, whoever did it, after a restart too."""

import contextlib
import json

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate.refusals import Conflict
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating
from tests.edits import SQUARE, draw, history, move, objects, ok, refused


def do_everything(client, here):
    """Every kind of edit, and what there is after each of them."""
    ok(client.put("/api/project/classes", json=[{"name": "house"}, {"name": "lake"}]))
    edits = [
        lambda: draw(client),
        lambda: ok(client.patch("/api/objects/1", json={"class_id": 2})),
        lambda: ok(client.patch("/api/objects/1", json={"attributes": {"a": 1}})),
        lambda: here.project.import_objects(1, annotating.items(annotating.shapes())),
        lambda: ok(client.patch("/api/objects/3", json={"geometry": SQUARE, "class_id": 1})),
        lambda: draw(client, (30, 30, 50, 40), object_id=3),
        lambda: ok(client.delete("/api/objects/3")),
        lambda: ok(client.delete("/api/objects/4")),
        lambda: ok(client.post("/api/objects/3/restore")),
        lambda: ok(client.delete(f"/api/sessions/{draw(client, finish=False)}")),
    ]
    states = [seen(client)]
    for edit in edits:
        edit()
        states.append(seen(client))
    return states


def seen(client):
    deleted = sorted(one["id"] for one in objects(client, deleted=True))
    return objects(client), deleted, len(ok(client.get("/api/sessions")))


LABELS = [
    "object 1",
    "class of object 1",
    "attributes of object 1",
    "import of 7 objects",
    "class and outline of object 3",
    "refinement of object 3",
    "deletion of object 3",
    "deletion of object 4",
    "return of object 3",
    "discarding of an object, 1 step",
]


@pytest.mark.parametrize("restarts", [False, True])
def test_everything_can_be_undone_and_done_again(start, restarts):
    client = start()
    states = do_everything(client, start.here())

    def same(state):
        found = seen(client)
        # Objects that are not there yet are deleted ones, after an undo.
        assert found[0] == state[0]
        assert set(found[1]) >= set(state[1])

    for n in range(len(LABELS) - 1, -1, -1):
        client = start() if restarts else client
        assert history(client) == [LABELS[n], LABELS[n + 1] if n + 1 < len(LABELS) else None]
        assert move(client, "undo")["label"] == LABELS[n]
        same(states[n])
        assert len(ok(client.get("/api/sessions"))) == 1
    refused(client.post("/api/images/1/undo"), "nothing to undo")
    for n, label in enumerate(LABELS):
        client = start() if restarts else client
        assert move(client, "redo")["label"] == label
        same(states[n + 1])
    assert seen(client) == states[-1]
    refused(client.post("/api/images/1/redo"), "nothing to redo")


def test_replies_say_what_the_map_needs(start):
    client = start()
    do_everything(client, start.here())
    undone = move(client, "undo")
    assert undone["session"]["area_px"] == 15 * 15
    assert (undone["changed"], undone["removed"]) == ([], [])
    assert move(client, "undo")["removed"] == [3]
    back = move(client, "undo", crs="EPSG:3857")
    (there,) = [one for one in objects(client, crs="EPSG:3857") if one["id"] == 4]
    assert back["changed"] == [there]
    while (undone := move(client, "undo"))["label"] != "import of 7 objects":
        pass
    assert (undone["changed"], undone["removed"]) == ([], list(range(2, 9)))
    assert len(move(client, "redo")["changed"]) == 7


def test_a_new_edit_forgets_what_was_undone(start):
    client = start()
    draw(client)
    draw(client, (30, 30, 40, 40))
    move(client, "undo")
    ok(client.patch("/api/objects/1", json={"attributes": {"a": 1}}))
    assert history(client) == ["attributes of object 1", None]
    refused(client.post("/api/images/1/redo"), "nothing to redo")
    # What was undone is among the deleted objects for good.
    assert [one["id"] for one in objects(client, deleted=True)] == [2]
    ok(client.post("/api/objects/2/restore"))
    assert [one["id"] for one in objects(client)] == [1, 2]


def test_what_changes_nothing_is_no_edit(start):
    """A request that is sent again because its reply was lost, for one."""
    client = start()
    ok(client.put("/api/project/classes", json=[{"name": "house"}]))
    draw(client)
    for change in ({"class_id": 1}, {"attributes": {"a": 1}}, {"geometry": SQUARE}):
        once = ok(client.patch("/api/objects/1", json=change))
        before = history(client)
        assert ok(client.patch("/api/objects/1", json=change)) == once
        assert ok(client.patch("/api/objects/1", json={})) == once
        assert history(client) == before
    ok(client.patch("/api/objects/1", json={"attributes": {"a": True}}))  # not what 1 is
    labels = []
    while history(client)[0]:
        labels.append(move(client, "undo")["label"])
    names = ("attributes", "outline", "attributes", "class")
    assert labels == [*(f"{name} of object 1" for name in names), "object 1"]
    empty = ok(client.post("/api/sessions", json={"image_id": 1}))
    assert ok(client.delete(f"/api/sessions/{empty['id']}")) == {"ok": True, "edit": None}
    assert history(client)[0] is None


def test_a_repeated_undo_happens_once(start):
    client = start()
    draw(client)
    draw(client, (30, 30, 40, 40))
    replies = [move(client, "undo", key="a") for _ in range(2)]
    client = start()
    replies.append(move(client, "undo", key="a"))
    assert replies[0] == replies[1] == replies[2]
    assert [one["id"] for one in objects(client)] == [1]
    assert move(client, "redo", key="a2") == move(client, "redo", key="a2")


def test_an_edit_that_is_meant_is_undone_or_none(start):
    """The way back in a notice must not take back what came after it."""
    client = start()
    draw(client)
    first = ok(client.get("/api/images/1/history"))["undo"]["edit"]
    draw(client, (30, 30, 40, 40))
    refused(client.post("/api/images/1/undo", json={"edit": first}), "object 2", "first")
    assert len(objects(client)) == 2
    move(client, "undo")
    assert move(client, "undo", edit=first)["label"] == "object 1"


def test_undo_never_touches_another_image(start, tmp_path):
    client = start()
    annotating.raster(tmp_path, "other.tif")
    start.here().project.add_image(tmp_path / "other.tif")
    draw(client)
    start.here().project.import_objects(2, annotating.items(annotating.shapes()))
    move(client, "undo")
    assert objects(client) == []
    assert len(ok(client.get("/api/images/2/objects"))) == 7
    assert client.get("/api/images/3/history").status_code == 404
    assert client.post("/api/images/3/undo").status_code == 404


def test_a_discarded_session_comes_back(start):
    client = start()
    made = draw(client)
    id = draw(client, (30, 30, 40, 40), object_id=1, finish=False)
    before = ok(client.get(f"/api/sessions/{id}"))
    edit = ok(client.delete(f"/api/sessions/{id}"))["edit"]
    assert ok(client.delete(f"/api/sessions/{id}"))["edit"] == edit
    assert ok(client.get("/api/sessions")) == []
    client = start()
    assert move(client, "undo", edit=edit)["session"] == before
    assert ok(client.post(f"/api/sessions/{id}/finish"))["area_px"] == 100
    assert history(client) == ["refinement of object 1", None]
    move(client, "undo")
    assert objects(client) == [made]


def test_deleted_objects_are_listed_the_last_one_first(start):
    client = start()
    start.here().project.import_objects(1, annotating.items(annotating.shapes()))
    before = {one["id"]: one for one in objects(client)}
    for id in (3, 1, 5):
        ok(client.delete(f"/api/objects/{id}"))
    client = start()
    assert objects(client, deleted=True) == [before[id] for id in (5, 1, 3)]
    assert objects(client, deleted=False) == [before[id] for id in (2, 4, 6, 7)]
    ok(client.post("/api/objects/1/restore"))
    assert [one["id"] for one in objects(client, deleted=True)] == [5, 3]


def test_classes_that_are_gone_stay_gone(start):
    client = start()
    ok(client.put("/api/project/classes", json=[{"name": "house"}]))
    draw(client)
    ok(client.patch("/api/objects/1", json={"class_id": 1}))
    ok(client.delete("/api/objects/1"))
    ok(client.put("/api/project/classes", json=[]))
    assert move(client, "undo")["changed"][0]["class_id"] is None
    assert history(start()) == ["class of object 1", "deletion of object 1"]


def test_an_import_is_one_edit_however_many_objects(start):
    """Neither a copy of them nor as many events."""
    client = start()
    here = start.here()
    masks = [Mask(n % 80, n // 80 % 50, np.ones((2, 2), bool)) for n in range(600)]
    here.project.import_objects(1, annotating.items(masks))
    made = here.project.objects(1)
    edit, _ = here.project.edits.ends(1)
    assert list(map(id, edit.after)) == list(map(id, made))  # the records themselves
    events = sum(1 for _ in here.project.journal.events())
    assert len(move(client, "undo")["removed"]) == 600
    assert objects(client) == []
    deleted = here.project.objects(1, deleted=True)
    assert deleted[-1].shape is made[0].shape  # nothing is found out twice
    assert len(move(client, "redo")["changed"]) == 600
    assert list(map(id, here.project.objects(1))) == list(map(id, made))
    payloads = [json.dumps(event.payload) for event in here.project.journal.events()]
    assert len(payloads) == events + 2
    assert max(map(len, payloads[-2:])) < 100


CHANGING = [
    ("post", "sessions", {"image_id": 1}),
    ("post", "sessions/1/clicks", {"x": 1, "y": 1, "positive": True}),
    ("post", "sessions/1/undo", {}),
    ("post", "sessions/1/finish", {}),
    ("delete", "sessions/1", None),
    ("patch", "objects/1", {"attributes": {"a": 1}}),
    ("delete", "objects/1", None),
    ("post", "objects/2/restore", None),
    ("post", "images/1/undo", {}),
    ("put", "project/classes", []),
    ("put", "images/1/recipe", {"bands": [1]}),
    ("post", "images", {"path": "x"}),
]


def test_nothing_is_done_to_another_project(start):
    """The same address and ids, another project after a restart: what a page still had waiting."""
    old = ok(start().get("/api/project"))["id"]
    client = start("other")
    draw(client)
    ok(client.delete(f"/api/objects/{draw(client)['id']}"))
    id = draw(client, (1, 1, 8, 8), finish=False)
    own = ok(client.get("/api/project"))["id"]
    assert own != old
    journal = start.here().project.journal
    before = seen(client), sum(1 for _ in journal.events())
    for method, path, body in CHANGING:
        path = f"/api/{path.replace('sessions/1', f'sessions/{id}')}"
        options = {"headers": {"X-Project": old}} | ({} if body is None else {"json": body})
        refused(client.request(method, path, **options), "another project")
    files = {"file": ("a.json", b"{}")}
    refused(client.post("/api/images/1/import", files=files, headers={"X-Project": old}))
    assert (seen(client), sum(1 for _ in journal.events())) == before
    assert ok(client.get("/api/project", headers={"X-Project": old}))["id"] == own
    for headers in ({}, {"X-Project": own}):
        ok(
            client.patch(
                "/api/objects/1", json={"attributes": {"b": len(headers)}}, headers=headers
            )
        )


def test_projects_of_earlier_versions_have_their_history(start):
    """Events as they were written before there was any undo of edits."""
    client = start()
    draw(client)
    ok(client.put("/api/project/classes", json=[{"name": "house"}]))
    journal = start.here().project.journal
    journal.append("changed", {"id": 1, "class_id": 1})
    journal.append("deleted", {"id": 1})
    journal.append("classes", {"classes": []})
    journal.append("changed", {"id": 1, "class_id": None})
    journal.append("restored", {"id": 1})
    journal.append("changed", {"id": 1})
    client = start()
    (before,) = objects(client)
    labels = []
    while history(client)[0]:
        labels.append(move(client, "undo")["label"])
    assert labels == [
        "change of object 1",
        "return of object 1",
        "class of object 1",
        "deletion of object 1",
        "class of object 1",
        "object 1",
    ]
    for _ in labels:
        move(client, "redo")
    assert objects(start()) == [before]


def test_edits_of_many_clients_at_once(start):
    """Each is undone once, in one order for all, and a replay of the journal agrees."""
    from concurrent.futures import ThreadPoolExecutor

    client = start()
    edits = start.here().project.edits

    def work(seed):
        rng = np.random.default_rng(seed)
        mine = draw(client, (5 * seed + 1, 5, 5 * seed + 5, 9))["id"]
        for n in range(8):
            if rng.random() < 0.5:
                client.patch(f"/api/objects/{mine}", json={"attributes": {"n": n}})
            elif rng.random() < 0.7:
                with contextlib.suppress(Conflict):
                    edits.move("undo", 1, key=f"{seed} {n}")
            else:
                client.post("/api/images/1/redo", json={"key": f"{seed} {n}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    before = seen(client), history(client)
    client = start()
    assert (seen(client), history(client)) == before
    while history(client)[0]:
        move(client, "undo")
    assert objects(client) == []
