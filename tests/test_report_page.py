"""The report on several evaluations: its numbers are those of report.json, and of the runs."""

import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation import published
from rsisrefiner_jax.evaluation.report.__main__ import main
from rsisrefiner_jax.evaluation.runs import names_of, read_run
from tests import evaluations
from tests.browser import chromium

A = [1, 2, 3, 4, 5, 6, 21, 8, 9, 20]
B = [1, 2, 3, 3, 4, 5, 10, 8, 8, 21]
OTHER = {"my <set>/x": [[2, 21, 3], [2, 4, 3]]}  # two seeds


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on a set of the paper's; one has another set as well, and knows no FLOPs."""
    root = tmp_path_factory.mktemp("runs")
    return [
        evaluations.folder(root / "a" / "eval", {"nwpu:val": [A]}),
        evaluations.folder(root / "b~1" / "eval", {"nwpu:val": [B], **OTHER}, flops=None),
    ]


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """A directory with the report on both."""
    out = tmp_path_factory.mktemp("report")
    (runs[0] / "trajectories.json").write_text(json.dumps(TRAJECTORIES))
    main([*map(str, runs), "--out", str(out)])
    return out


TRAJECTORIES = {}


@pytest.fixture(scope="module")
def document(report):
    return json.loads((report / "report.json").read_text())


class Page(html.parser.HTMLParser):
    """A page's numbers with their place, and the text that is outside of them."""

    def __init__(self, text):
        super().__init__()
        self.numbers, self.text, self.settings, self.inside = [], [], [], [{}]
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br"):
            self.inside.append({"tag": tag, **dict(attributes)})

    def handle_endtag(self, tag):
        assert self.inside.pop()["tag"] == tag

    def handle_data(self, data):
        here = self.inside[-1]
        if "data-json" in here:
            self.numbers.append((here["data-json"], float(here.get("data-scale", 1)), data))
        elif here.get("tag") == "pre":
            self.settings.append(json.loads(data))
        elif here.get("tag") != "style":
            self.text.append(data)


def value_at(document, pointer):
    """RFC 6901."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        document = document[int(step) if isinstance(document, list) else step]
    return document


def test_every_number_is_in_the_json(report, document):
    page = Page((report / "report.html").read_text())
    assert len(page.numbers) > 400
    for pointer, scale, shown in page.numbers:
        decimals = len(shown.partition(".")[2])
        value = value_at(document, pointer) * scale
        assert abs(float(shown) - value) <= 0.5000001 * 10**-decimals, pointer
    # What else looks like a number is part of a name or a heading, which are there, too.
    known = set(re.findall(r"\d+(?:\.\d+)?", json.dumps(document)))
    assert set(re.findall(r"\d+(?:\.\d+)?", " ".join(page.text))) <= known
    settings = [
        {k: run[k] for k in ("protocol", "environment")} for run in document["runs"].values()
    ]
    assert page.settings == settings


def test_numbers_are_those_of_the_runs(runs, document):
    assert list(document["runs"]) == ["a/eval", "b~1/eval"]
    data = document["datasets"]["nwpu:val"]
    a = data["runs"]["a/eval"]
    assert a["noc"]["90"] == np.mean([min(n, 20) for n in A])
    assert a["nof"]["90"] == 1
    low, high = a["noc_interval"]["90"]
    assert low < a["noc"]["90"] < high
    difference = data["differences"]["b~1/eval"]
    assert difference["objects"] == 10
    assert difference["noc"]["90"]["mean"] == pytest.approx(
        np.mean(np.minimum(B, 20)) - a["noc"]["90"]
    )
    assert difference["failing"]["90"]["mean"] == 0
    worst = data["extremes"]["a/eval"]["worst"]
    assert (worst[0]["image"], worst[0]["clicks"]) == ("<6>.png", 20)
    assert data["panels"]["a/eval"]["1"]["steps"][-1]["iou"] == 0.9375
    assert [step["clicks"] for step in data["panels"]["a/eval"]["1"]["steps"]] == [1, 2]


def test_groups_of_objects(document):
    data = document["datasets"]["nwpu:val"]
    sizes = {title: found["a/eval"]["objects"] for title, found in data["sizes"].items()}
    assert sizes == {"small (below 1024 px)": 2, "medium": 8}
    classes = {title: found["a/eval"] for title, found in data["classes"].items()}
    assert {title: found["objects"] for title, found in classes.items()} == {"plane": 4, "ship": 6}
    assert classes["plane"]["noc"]["90"] == np.mean([1, 4, 20, 20])
    assert classes["plane"]["nof"]["90"] == 1
    # Over two seeds, objects are counted once.
    only = document["datasets"]["my <set>/x"]["classes"]["ship"]["b~1/eval"]
    assert (only["objects"], only["nof"]["90"], only["noc"]["90"]) == (2, 0.5, (20 + 3 + 4 + 3) / 4)


def test_published_numbers_are_marked_as_such(report, document):
    data = document["datasets"]["nwpu:val"]["published"]
    assert (data["dataset"], data["objects"], len(data["methods"])) == ("NWPU", 2049, 11)
    page = (report / "report.html").read_text()
    assert page.count("published: ") == 11 + len(published.COSTS)
    assert "Its object lists are others" in page
    assert document["published_costs"]["MFP (ViT-B)"]["gflops"] == 181.3
    ours, theirs = (report / "table.md").read_text().split("## my <set>/x")
    assert "## nwpu:val: 10 objects (paper: NWPU, 2049 others)" in ours
    assert "| paper: RS-ISRefiner (ViT-B) | 2.53 | 3.83 | 6.56 | 3 | 72 | 299 | - |" in ours
    assert ours.count("| paper: ") == 11
    assert "| a/eval | " in ours
    assert "paper:" not in theirs
    assert document["datasets"]["my <set>/x"]["published"] is None


def test_costs(document):
    a, b = document["runs"].values()
    assert a["flops"] == {"first_click": 4_000_000_000, "later_click": 2_000_000_000}
    assert b["flops"]["later_click"] is None
    clicks = sum(min(n, 20) for n in A)
    assert a["seconds_per_click"] == pytest.approx((2.5 + len("nwpu:val")) / clicks)


def test_page_needs_nothing_else(report):
    page = (report / "report.html").read_text()
    assert "my &lt;set&gt;/x" in page
    assert "<set>" not in page
    assert page.count("<img") == page.count("data:image/png;base64,iVBOR")
    # The curve, ten objects of each run on the first set, three on the other, and the panels.
    panels = (2 + 3) + (2 + 3) + (6 + 3)
    assert page.count("<img") == 1 + 10 + 10 + 3 + panels
    assert not re.search(r"(src|href)\s*=\s*['\"](?!data:)", page)


def test_curves_have_a_plot_for_each_data_set(report):
    curves = cv2.imread(str(report / "miou.png"))
    assert curves is not None
    assert curves.shape == (450, 1200, 3)


def test_numbers_of_another_data_set_of_the_paper(runs, tmp_path):
    main([str(runs[1]), "--out", str(tmp_path), "--published", "my <set>/x=whu_building"])
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["datasets"]["my <set>/x"]["published"]["dataset"] == "WHUBuilding"
    assert document["datasets"]["my <set>/x"]["differences"] == {}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--published", "nwpu:val"], "expected NAME=PAPER"),
        (["--published", "x=nwpu"], "the runs have the data sets nwpu:val"),
        (["--published", "nwpu:val=coco"], "the paper's data sets are isaid, "),
        (["again"], "named twice"),
        (["empty"], "holds no finished evaluation"),
    ],
)
def test_bad_input_is_one_sentence(runs, tmp_path, more, message):
    words = {"again": str(runs[0]), "empty": str(tmp_path)}
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match=message):
        main([str(runs[0]), *(words.get(word, word) for word in more[:1]), *more[1:], *out])
    assert not (tmp_path / "out").exists()


def test_runs_are_told_apart(tmp_path):
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert names_of([tmp_path / "a/eval", tmp_path / "b/eval"]) == ["a/eval", "b/eval"]


def test_objects_that_are_missing_are_told(tmp_path):
    whole = evaluations.folder(tmp_path / "a", {"ships": [A]})
    (whole / "objects.jsonl").write_text("")
    with pytest.raises(UserError, match="'ships' and objects"):
        read_run(whole)


def test_paper_tables_are_complete():
    for dataset in published.DATASETS:
        for table in (published.noc(dataset), published.nof(dataset)):
            assert len(table) == 11
            for numbers in table.values():
                assert len(numbers) == 3
                assert list(numbers) == sorted(numbers)
    assert published.noc("whu_building")["MFP (ViT-B)"] == (4.01, 5.63, 9.28)


@pytest.mark.slow
def test_chromium_shows_it_without_a_network(report):
    with chromium() as browser:
        page = browser.new_page(offline=True)
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((report / "report.html").as_uri())
        assert page.locator("h1").inner_text() == "Evaluations side by side"
        broken = "pictures => pictures.filter(p => !p.naturalWidth).length"
        assert page.locator("img").evaluate_all(broken) == 0
        assert not complaints
        elsewhere = [url for url in asked if not url.startswith("data:")]
        assert elsewhere == [(report / "report.html").as_uri()]
