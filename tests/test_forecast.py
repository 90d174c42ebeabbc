"""The forecast of what is left: what finished objects took, and how far that is to be trusted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("fastapi")
from rsisrefiner_jax.annotate import journal
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.forecast import efforts as efforts_module
from rsisrefiner_jax.forecast.__main__ import main
from rsisrefiner_jax.forecast.efforts import Effort, Group, efforts
from rsisrefiner_jax.forecast.estimate import forecast, groups, mixed_as, speaking_for, with_others
from rsisrefiner_jax.forecast.remaining import remaining_of
from rsisrefiner_jax.formats.masks import Mask
from tests import annotating


def square(x, y, side=6):
    return Mask(x, y, np.ones((side, side), bool))


@pytest.fixture
def here(tmp_path):
    """A project on pixels alone, with one class."""
    here = annotating.context(tmp_path)
    raster = annotating.raster(tmp_path / "images", crs=None, transform=None)
    here.project.add_image(raster)
    here.project.set_classes([{"id": None, "name": "roof", "colour": "#ff0000"}])
    yield here
    here.project.close()


class Person:
    """Draws objects by the clock, without a model."""

    def __init__(self, here, monkeypatch):
        self.project, self.now = here.project, 1000.0
        monkeypatch.setattr(journal, "time", SimpleNamespace(time=lambda: self.now))

    def after(self, seconds):
        self.now += seconds
        return self.project.sessions

    def draw(self, steps, mask, object_id=None, wait=0.0, class_id=None):
        """steps: (seconds, kind). Ends a second after the last one."""
        session = self.after(wait).start(1, object_id)
        for seconds, kind in steps:
            fields = {"x": 5.5, "y": 5.5, "positive": True} if kind == "click" else None
            session = self.after(seconds).step(session.id, kind, fields)
        return self.after(1).finish(session, mask, class_id, {})


def test_what_objects_took(here, monkeypatch):
    """Clicks that were taken back, breaks, the way from one object to the next, corrections."""
    person = Person(here, monkeypatch)
    one = person.draw([(4, "click"), (6, "click"), (1, "undo"), (4, "click")], square(0, 0))
    # A break before it, and one within it, count a minute each.
    two = person.draw([(3, "click"), (400, "click")], square(20, 20, 40), wait=90, class_id=1)
    left = person.after(5).start(1)
    person.after(2).step(left.id, "click", {"x": 1, "y": 1, "positive": True})
    person.after(1).discard(left.id)
    assert person.draw([(3, "click")], square(1, 0), one.id, wait=7).id == one.id
    here.project.import_objects(1, annotating.items([square(50, 5)]))  # nobody clicked on it
    found = efforts(here.project.journal.events(), here.project.folder)
    assert found == [
        Effort(one.id, Group("", "small (below 1024 px)"), 4, 16 + 11),
        Effort(two.id, Group("roof", "medium"), 2, 60 + 3 + 60 + 1),
    ]
    here.project.delete_object(two.id)
    assert [e.id for e in efforts(here.project.journal.events(), here.project.folder)] == [one.id]


def test_another_network_counts_once_it_has_enough(here, monkeypatch):
    monkeypatch.setattr(efforts_module, "ENOUGH", 2)
    person = Person(here, monkeypatch)

    def ids():
        return [e.id for e in efforts(here.project.journal.events(), here.project.folder)]

    person.draw([(1, "click")], square(0, 0))
    here.project.use_network("networks/better")
    person.draw([(1, "click")], square(10, 0))
    assert ids() == [1, 2]
    person.draw([(1, "click")], square(20, 0))
    assert ids() == [2, 3]


def made(clicks, seconds=36.0, group=Group("", "medium")):
    return [Effort(i, group, n, seconds) for i, n in enumerate(clicks, start=1)]


def test_equal_objects_leave_no_doubt():
    found = forecast(made([3] * 10), {Group(): 100})
    assert found.remaining == 100
    assert found.clicks == pytest.approx((300, 300, 300))
    assert found.hours == pytest.approx((1, 1, 1))


def test_classes_and_sizes_count_for_themselves():
    done = made([2] * 6, 10, Group("roof", "small")) + made([8] * 6, 50, Group("road", "large"))
    done += made([5] * 2, 20, Group("tank", "small"))
    assert forecast(done, {Group("roof", "small"): 10}).clicks.mean == 20
    assert forecast(done, {Group("road", "large"): 10}).hours.mean == pytest.approx(500 / 3600)
    both = forecast(done, {Group("roof", "small"): 10, Group("road", "large"): 5})
    assert (both.remaining, both.clicks.mean) == (15, 60)
    # Two tanks are too few to speak for tanks: all small ones do; unknown ones are like all.
    assert speaking_for(Group("tank", "small"), done).tolist() == [*range(6), 12, 13]
    assert speaking_for(Group("tank", "large"), done).tolist() == [*range(6, 12)]
    assert len(speaking_for(Group("tank", "medium"), done)) == len(done)
    assert groups(done)[Group("tank", "small")] == {"objects": 2, "clicks": 5.0, "seconds": 20.0}


def test_what_is_left_is_mixed_as_what_was_done():
    a, b, c = Group("a", "small"), Group("b", "small"), Group("b", "large")
    done = made([1] * 3, group=a) + made([1] * 2, group=b) + made([1] * 2, group=c)
    assert mixed_as(done, 70) == {a: 30, b: 20, c: 20}
    assert sum(mixed_as(done, 11).values()) == 11
    more = [*done, *made([9] * 5, group=b)]
    found = with_others(more)
    assert groups(found)[Group("others")]["objects"] == 5
    # Then the groups add up to the whole.
    parts = [forecast(found, {group: n}) for group, n in mixed_as(found, 120).items()]
    assert sum(one.clicks.mean for one in parts) == pytest.approx(120 * 52 / 12)


def test_the_interval_holds_what_then_comes():
    """About as often as it says, over many layers of which 30 objects are finished."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        layer = rng.geometric(0.3, 230)
        found = forecast(made(layer[:30].tolist()), {Group(): 200})
        held += found.clicks.low <= layer[30:].sum() <= found.clicks.high
    assert held >= 51  # 57 are expected


def test_too_few_to_forecast_from():
    with pytest.raises(UserError, match="4 finished objects with clicks are too few"):
        forecast(made([3] * 4), {Group(): 10})


def write_layer(path, boxes):
    features = []
    for kind, (x0, y0, x1, y1) in boxes:
        ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        if kind == "point":
            geometry = {"type": "Point", "coordinates": [x0, y0]}
        properties = {"class": kind}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_what_is_left_of_a_layer(here, tmp_path):
    here.project.import_objects(1, annotating.items([square(10, 10, 8)]))
    boxes = [
        ("roof", (9, 9, 19, 19)),  # done
        ("roof", (30, 30, 38, 38)),
        ("roof", (40, 2, 88, 50)),
        ("road", (60, 52, 70, 58)),
        ("road", (600, 10, 700, 20)),  # beyond the image
    ]
    layer = write_layer(tmp_path / "layer.geojson", boxes)
    left = remaining_of(layer, here.project.images(), here.project.objects(1))
    small = "small (below 1024 px)"
    assert left == {Group("roof", small): 1, Group("roof", "medium"): 1, Group("road", small): 1}
    points = write_layer(tmp_path / "points.geojson", [("point", (x, 5, x, 5)) for x in range(7)])
    assert remaining_of(points, here.project.images(), []) == {Group(): 7}
    away = write_layer(tmp_path / "away.geojson", boxes[-1:])
    with pytest.raises(UserError, match="none of its polygons lies on an image"):
        remaining_of(away, here.project.images(), [])


def test_the_command(here, tmp_path, monkeypatch, capsys):
    """While the annotator has the project open."""
    person = Person(here, monkeypatch)
    for n in range(6):
        person.draw([(2, "click")] * 3, square(12 * n, 0), wait=11 if n else 0, class_id=1)
    project = str(tmp_path / "project")
    main([project, "--remaining", "100", "--json", str(tmp_path / "f.json")])
    said = capsys.readouterr().out
    row = "| roof | small (below 1024 px) | 6 | 3.0 | 16 | 100 | 300 (300 to 300) | 0.4 ("
    assert row in said
    assert "100 objects left: 300 (300 to 300) clicks and 0.4 (" in said
    written = json.loads((tmp_path / "f.json").read_text())
    assert written["hours"]["mean"] == pytest.approx(100 * (7 + 5 * 18) / 6 / 3600)
    (group,) = written["groups"]
    assert (group["category"], group["finished"]["objects"]) == ("roof", 6)
    assert group["left"]["clicks"] == written["clicks"]
    layer = write_layer(tmp_path / "layer.geojson", [("roof", (30, 30, 38, 38))])
    main([project, "--layer", str(layer)])
    assert "| roof | small (below 1024 px) | 6 | 3.0 | 16 | 1 | 3 (" in capsys.readouterr().out
    reply = annotating.client(here).get("/api/project/forecast?remaining=100").json()
    assert reply["finished"] == 6
    assert reply["clicks"] == pytest.approx({"mean": 300, "low": 300, "high": 300})
    assert reply["hours"] == written["hours"]
    for words, message in (
        ([project, "--remaining", "0"], "--remaining 0: at least one object"),
        ([str(tmp_path), "--remaining", "5"], "no project of the annotator"),
    ):
        with pytest.raises(UserError, match=message):
            main(words)
