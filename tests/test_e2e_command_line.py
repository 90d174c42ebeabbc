"""From a released .pth to clicks and IoUs, by the two commands a user types."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests import full_size, torch_zip
from tests.goldens import make_inputs

ROOT = full_size.GOLDENS.parents[1]
GOLDEN = np.load(full_size.GOLDENS / "e2e_evaluate_sample.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN})
# The recorded logits of the unshifted weights, which the converter knows by their checksum.
PARITY = {"golden": "rsisrefiner_stand_in", "of": "logits"}


def command(*arguments: object) -> None:
    """Runs `python arguments...` in the repository, and says what went wrong."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def write_data(folder, image: np.ndarray, target: np.ndarray) -> str:
    """One picture with one object as COCO; the data SPEC. image: what an OpenCV reader gets."""
    height, width = target.shape
    cv2.imwrite(str(folder / "picture.png"), image)
    run_lengths = coco_mask.encode(np.asfortranarray(target.astype(np.uint8)))
    segmentation = {"size": [height, width], "counts": run_lengths["counts"].decode()}
    content = {
        "images": [{"id": 1, "file_name": "picture.png", "height": height, "width": width}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}],
        "categories": [{"id": 1, "name": "blob"}],
    }
    (folder / "objects.json").write_text(json.dumps(content))
    return f"coco:{folder},{folder / 'objects.json'}"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_released_checkpoint_is_converted_and_evaluated(tmp_path, case):
    golden = {k.removeprefix(f"{case}/"): GOLDEN[k] for k in GOLDEN if k.startswith(f"{case}/")}
    shift, seed = float(golden["bias_shift"]), int(golden["image_seed"])
    height, width = golden["size"].tolist()
    target = make_inputs.blob_mask(seed, height, width)
    # The released code evaluates pictures in OpenCV's order, as the golden's array is.
    data = write_data(tmp_path, make_inputs.image(seed, height, width), target)
    torch_zip.save(tmp_path / "net.pth", {"state_dict": full_size.shifted_state_dict(shift)})

    checkpoint, certificate = tmp_path / "net", tmp_path / "net.json"
    command(
        *("-m", "convert_weights", tmp_path / "net.pth", checkpoint, "--certificate", certificate)
    )
    (tmp_path / "net.pth").unlink()
    record = json.loads(certificate.read_text())
    assert record["round_trip"] == "exact"
    if shift == 0:
        assert PARITY.items() <= record["parity"].items()
        assert record["parity"]["figure"] < 2e-4
    else:
        assert record["parity"] is None

    settings = ["protocol.max_clicks=6"]
    if case.startswith("paper"):
        settings.append("model.decoder=paper")
    out = tmp_path / "out"
    command(
        *("eval.py", "--checkpoint", checkpoint, "--data", data, "--out", out),
        *("--protocol", "refiner-as-released", "--set", *settings),
    )
    (line,) = (out / "objects.jsonl").read_text().splitlines()
    result = json.loads(line)
    clicks = [[y, x, int(positive), i] for i, (y, x, positive) in enumerate(result["clicks"])]
    assert clicks == golden["clicks_y_x_pos_idx"].tolist()
    np.testing.assert_allclose(result["ious"], golden["ious"], atol=2e-3)
    assert result["area_px"] == target.sum()
