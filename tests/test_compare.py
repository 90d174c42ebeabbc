"""What differs between two evaluations, from the files that they wrote."""

import json

import pytest

from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.evaluation.compare import main


def evaluation(directory, objects, **fields):
    """A directory as eval.py leaves it; objects: (image, id, clicks, ious)."""
    directory.mkdir()
    entry = {"objects": len(objects), "noc": {"90": 3.0}, "seconds_per_click": 0.1}
    results = {"protocol": {"name": "paper"}, "environment": {"dtype": "float32"}, **fields}
    results["datasets"] = {"ships": entry | fields.get("entry", {})}
    (directory / "results.json").write_text(json.dumps(results))
    lines = [
        {"dataset": "ships", "image": image, "object_id": id, "clicks": clicks, "ious": ious}
        for image, id, clicks, ious in objects
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (directory / "objects.jsonl").write_text(text)
    return directory


A, B, C = [1, 2, True], [3, 4, False], [5, 6, True]
OBJECTS = [("a.png", 1, [A, B], [0.5, 0.9]), ("a.png", 2, [A], [0.95]), ("b.png", 1, [C], [0.9])]


def test_equal_evaluations(tmp_path, capsys):
    paths = [evaluation(tmp_path / name, OBJECTS) for name in "ab"]
    (paths[1] / "results.json").write_text(
        (paths[0] / "results.json").read_text().replace("0.1", "0.2")  # timing is no difference
    )
    main([str(path) for path in paths])
    assert capsys.readouterr().out == "no difference\n"


def test_every_difference_is_listed(tmp_path, capsys):
    one = evaluation(tmp_path / "a", OBJECTS)
    others = [
        ("a.png", 1, [A, C], [0.5, 0.75]),
        ("a.png", 2, [A], [0.9375]),
        ("c.png", 7, [C], [0.9]),
    ]
    other = evaluation(
        tmp_path / "b",
        others,
        environment={"dtype": "bfloat16"},
        entry={"noc": {"90": 3.5}},
    )
    main([str(one), str(other)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "environment.dtype: float32 | bfloat16"
    assert "ships: noc.90: 3.0 | 3.5" in lines
    assert "ships: 1 objects only in A, such as b.png, object 1" in lines
    assert "ships: 1 objects only in B, such as c.png, object 7" in lines
    assert any("2 of 2 objects differ, 1 of them in their clicks" in line for line in lines)
    first, second = lines[-2:]
    assert "a.png, object 1: IoU by up to 0.1500, clicks differ from the 2. on" in first
    assert "a.png, object 2: IoU by up to 0.0125, the same clicks; 1 | 1 clicks" in second


def test_what_is_no_evaluation(tmp_path):
    whole = evaluation(tmp_path / "a", OBJECTS)
    with pytest.raises(UserError, match="holds no finished evaluation"):
        main([str(whole), str(tmp_path / "none")])
    (whole / "objects.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"objects\.jsonl: cannot be read"):
        main([str(whole), str(whole)])
