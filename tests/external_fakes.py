"""External predictors for tests: numpy alone, deterministic, dependent on all they are given."""

import sys
from types import SimpleNamespace

import numpy as np

from rsisrefiner_jax.data.scene import Scene, SceneObject
from rsisrefiner_jax.interaction.clicks import Click
from tests.fakes import smooth_object

SIDE = 64  # of zoomed crops


def answer(image, clicks, prev_mask):
    """Logits [h, w]: bright pixels, disks at clicks, and what was there before."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    clicked = np.zeros(image.shape[:2])
    for click in clicks:
        near = (y - click.y) ** 2 + (x - click.x) ** 2 < 53.3  # no pixel on its border
        clicked += (6.3 if click.positive else -5.6) * near
    red, blue = image[..., 0] / 255, image[..., 2] / 255
    return 9 * (red - 0.513) + 2 * (blue - 0.483) + clicked + 3 * (prev_mask - 0.537)


def probability(image, clicks, prev_mask):
    return 1 / (1 + np.exp(-answer(image, clicks, prev_mask)))


class Single:
    """One question at a time; spoils whatever it was given. `shown` counts its pictures."""

    def __init__(self, zoom_in_size=None):
        self.zoom_in_size, self.shown = zoom_in_size, 0

    def set_image(self, rgb):
        self._rgb, self.shown = rgb, self.shown + 1

    def predict(self, clicks, prev_mask):
        found = probability(self._rgb, clicks, prev_mask)
        clicks.clear()
        prev_mask[:] = -1
        return found


class Batched(Single):
    """`sizes`: of the batches it was asked."""

    def __init__(self, zoom_in_size=None):
        super().__init__(zoom_in_size)
        self.sizes = []

    def predict_batch(self, images, clicks, prev_masks):
        self.sizes.append(len(images))
        given = zip(images, clicks, prev_masks, strict=True)
        found = np.stack([probability(*each) for each in given])
        images[:], prev_masks[:] = 0, -1
        return found

    def predict(self, clicks, prev_mask):
        raise AssertionError("it takes batches")


class FakeSession:
    """Stands for `onnxruntime.InferenceSession`: a function of the named inputs."""

    def __init__(self, run, inputs, outputs):
        self._run, self._inputs, self._outputs = run, inputs, outputs

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self._inputs]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self._outputs]

    def run(self, outputs, feeds):
        assert outputs is None
        assert set(feeds) == set(self._inputs)
        assert all(array.dtype == np.float32 for array in feeds.values())
        found = self._run(**feeds)
        return [found.get(name) for name in self._outputs]


class FakeTensor(np.ndarray):
    """As much of `torch.Tensor` as the example of a torch network uses."""

    def to(self, device):
        return self

    def cpu(self):
        return self

    def float(self):
        return self.astype(np.float32)

    def sigmoid(self):
        return 1 / (1 + np.exp(-self))

    def numpy(self):
        return np.asarray(self)


class NumpyNetwork:
    """A network as `examples/predictors/torch_network.py` calls one, in numpy."""

    def eval(self):
        return self

    def to(self, device):
        return self

    def parameters(self):
        return []

    def __call__(self, image, points):
        found = [
            self._one(*each) for each in zip(np.asarray(image), np.asarray(points), strict=True)
        ]
        return {"instances": np.stack(found)[:, None].astype(np.float32).view(FakeTensor)}

    def _one(self, image, points):
        half = len(points) // 2
        kept = [(order, y, x, i < half) for i, (y, x, order) in enumerate(points) if order >= 0]
        clicks = [Click(y, x, positive) for _, y, x, positive in sorted(kept)]
        rgb = image[:3].transpose(1, 2, 0) * 255
        return answer(rgb, clicks, image[3])


def without_torch(monkeypatch):
    """Puts a stand-in for torch where the example imports it."""
    import contextlib

    fake = SimpleNamespace(
        __version__="none",
        inference_mode=contextlib.nullcontext,
        from_numpy=lambda array: array.view(FakeTensor),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.delitem(sys.modules, "examples.predictors.torch_network", raising=False)


def scenes(count=20, sizes=((100, 120), (90, 64), (130, 70))):
    """One object each."""
    made = []
    for seed in range(count):
        image, target = smooth_object(*sizes[seed % len(sizes)], seed)
        items = (SceneObject(1, 0, "blob"),)
        ignored = np.zeros(target.shape, bool)
        ignored[:4] = True
        made.append(Scene(f"{seed}", image, target[..., None].astype(np.int32), items, ignored))
    return made
