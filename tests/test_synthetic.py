"""The synthetic data set: reproducible, consistent, well drawn and not trivially easy."""

import collections
import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from rsisrefiner_jax.data.scene import Scene
from rsisrefiner_jax.data.synthetic import SyntheticSource
from rsisrefiner_jax.data.synthetic.canvas import Canvas, Pose, Surface, box
from rsisrefiner_jax.data.synthetic.source import MAX_OBJECTS, MIN_AREA, MIN_OBJECTS
from rsisrefiner_jax.errors import UserError

CATEGORIES = {
    "baseball_diamond", "basketball_court", "bridge", "building", "field", "pier", "plane",
    "pool", "road", "roundabout", "sandbar", "ship", "storage_tank", "tennis_court",
    "track_field", "tree", "vehicle", "water",
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    source = SyntheticSource("val", size=256)
    return [source[i] for i in range(150)]


def digest(scene: Scene) -> str:
    return hashlib.sha256(scene.image.tobytes() + scene.labels.tobytes()).hexdigest()


def test_a_scene_depends_on_its_split_and_index_alone():
    source = SyntheticSource("train", size=128)
    first = digest(source[3])
    source[0]
    assert digest(source[3]) == first
    assert digest(SyntheticSource("train", size=128, length=7)[3]) == first
    assert digest(source[4]) != first
    assert digest(SyntheticSource("val", size=128)[3]) != first
    assert digest(SyntheticSource("test", size=128)[3]) != first


def test_another_process_draws_the_same_scene():
    program = (
        "import hashlib; from rsisrefiner_jax.data.synthetic import SyntheticSource as S;"
        "s = S('val', 96)[5];"
        "print(hashlib.sha256(s.image.tobytes() + s.labels.tobytes()).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == digest(SyntheticSource("val", size=96)[5])


def test_drawing_needs_no_jax():
    program = (
        "import sys; from rsisrefiner_jax.data.synthetic import SyntheticSource as S;"
        "S('val', 96)[0]; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_lengths_and_bounds():
    assert len(SyntheticSource("val")) == len(SyntheticSource("test")) == 200
    assert len(SyntheticSource("train")) == 100_000
    with pytest.raises(IndexError):
        SyntheticSource("val", length=5)[5]
    with pytest.raises(UserError, match="synthetic:dev"):
        SyntheticSource("dev")
    with pytest.raises(UserError, match="size=32"):
        SyntheticSource("val", size=32)


@pytest.mark.parametrize("size", [64, 203, 384])
def test_any_size(size: int):
    scene = SyntheticSource("test", size=size)[1]
    assert scene.image.shape == (size, size, 3)
    assert scene.labels.shape == (size, size, 1)
    assert scene.ignore.shape == (size, size)


def test_labels_and_objects_agree(scenes: list[Scene]):
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert scene.labels.dtype == np.int32
        assert scene.ignore.dtype == bool
        ids = [item.id for item in scene.objects]
        assert MIN_OBJECTS <= len(ids) <= MAX_OBJECTS
        assert sorted({0, *ids}) == np.union1d(0, scene.labels).tolist()
        assert not (scene.ignore & (scene.labels[..., 0] > 0)).any()
        for item in scene.objects:
            mask = scene.mask(item).astype(np.uint8)
            assert MIN_AREA <= mask.sum() <= 0.4 * mask.size
            assert cv2.connectedComponents(mask, connectivity=4)[0] == 2, item


def test_every_category_and_a_fair_mix_of_sizes(scenes: list[Scene]):
    counts = collections.Counter(item.category for scene in scenes for item in scene.objects)
    assert set(counts) == CATEGORIES
    assert max(counts.values()) < 0.5 * counts.total()
    areas = [int(scene.mask(item).sum()) for scene in scenes for item in scene.objects]
    assert 250 <= np.median(areas) <= 1200
    trainable = [sum(scene.mask(item).sum() >= 256 for item in scene.objects) for scene in scenes]
    assert np.mean(trainable) >= 6
    assert np.mean(np.array(trainable) >= 2) > 0.95


def test_pictures_have_contrast(scenes: list[Scene]):
    spreads = [scene.image.astype(float).mean(2).std() for scene in scenes]
    assert np.median(spreads) > 20
    assert min(spreads) > 5
    assert len({digest(scene) for scene in scenes}) == len(scenes)


def test_masks_follow_the_picture(scenes: list[Scene]):
    """The picture changes at mask boundaries, and less so two pixels on either side."""
    profile = []
    for scene in scenes[:60]:
        grey = cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        inside = np.zeros(grey.shape, np.float32)
        for item in scene.objects:
            if item.category not in ("tree", "field"):
                mask = np.pad(scene.mask(item), 1, mode="edge").astype(np.uint8)
                depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1]
                inside = np.maximum(inside, depth)
        outside = cv2.distanceTransform((inside == 0).astype(np.uint8), cv2.DIST_L2, 5)
        rings = [(inside > 2.5) & (inside < 4), (inside > 0) & (inside < 1.3),
                 (outside > 0) & (outside < 1.3), (outside > 2.5) & (outside < 4)]  # fmt: skip
        if all(ring.any() for ring in rings):
            profile.append([steep[ring].mean() for ring in rings])
    far_in, near_in, near_out, far_out = np.mean(profile, 0)
    assert min(near_in, near_out) > 1.4 * max(far_in, far_out)
    assert 0.75 < near_in / near_out < 1.33  # not shifted inwards or outwards


def test_one_colour_does_not_make_an_object(scenes: list[Scene]):
    """Flooding from the innermost pixel with the best of several tolerances fails on average."""
    scores: dict[int, list[float]] = collections.defaultdict(list)
    for scene in scenes[:40]:
        for item in scene.objects[:8]:
            truth = scene.mask(item)
            depth = cv2.distanceTransform(np.pad(truth, 1).astype(np.uint8), cv2.DIST_L2, 5)
            y, x = np.unravel_index(depth[1:-1, 1:-1].argmax(), truth.shape)
            for tolerance in (8, 16, 28):
                flood = np.zeros((truth.shape[0] + 2, truth.shape[1] + 2), np.uint8)
                flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
                limit = (tolerance,) * 3
                cv2.floodFill(scene.image.copy(), flood, (int(x), int(y)), 0, limit, limit, flags)
                guess = flood[1:-1, 1:-1] > 0
                scores[tolerance].append((guess & truth).sum() / (guess | truth).sum())
    assert max(np.mean(values) for values in scores.values()) < 0.5


def test_a_box_is_drawn_where_it_is_placed():
    """Pose, supersampling and the fixed-point coordinates add up to the right pixels."""
    canvas = Canvas(64, 0.5, np.random.default_rng(0), (0, 0, 0), Surface())
    thing = canvas.add(Surface("box"))
    pose = Pose(y=20.0, x=30.0, angle=0.0, scale=2.0)
    canvas.fill([pose.place(box(10.5, 5.5))], [(255, 255, 255)], thing)  # 21 x 11 pixels
    assert pose.move(5, 1) == Pose(22.0, 40.0, 0.0, 2.0)
    covered = cv2.resize((canvas.surface == thing).astype(np.float32), (64, 64), None, 0, 0, 3)
    ys, xs = np.nonzero(covered > 0.6)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (15, 25, 20, 40)
    np.testing.assert_array_equal(canvas.rgb[..., 0] > 0, canvas.surface == thing)


def test_a_shadow_falls_away_from_the_sun_and_never_on_its_own_object():
    canvas = Canvas(64, 1.0, np.random.default_rng(0), (90, 90, 90), Surface())
    canvas.sun = np.array([0.0, 1.0])  # shadows point to +x, a pixel per metre
    thing = canvas.add(Surface("building"))
    canvas.fill([Pose(32, 20, 0, 1).place(box(10, 10))], [(200, 0, 0)], thing, height=12)
    dark = canvas.shade > 0
    assert not (dark & (canvas.surface == thing)).any()
    ys, xs = np.nonzero(dark)
    assert 50 <= xs.min() <= 53
    assert 73 <= xs.max() <= 77
    assert ys.min() >= 53
    assert ys.max() <= 76
