"""A PyTorch network that is called as those of the RITM family are (`pip install torch`).

    PYTHONPATH=THEIR_CODE python eval.py --predictor examples.predictors.torch_network:factory \\
        --options network=my_networks:build weights=net.pth side=448 --protocol simpleclick \\
        --data SPEC --out DIR

`build()` makes a `torch.nn.Module`, most often in three lines of the authors' own code. Its call
is `network(image, points)`:

image: float32 [b, 4, side, side], RGB in 0..1 (the network normalises) and the previous mask.
points: float32 [b, 2 n, 3], rows (y, x, order); n places for positive clicks, n for negative ones,
    -1 in those that are not used.

It returns logits [b, 1, side, side], or a dict with them under "instances".
"""

import importlib
import zlib
from pathlib import Path

import numpy as np
import torch


def factory(
    network: str, weights: str = "", side: str = "448", device: str = "cpu"
) -> "TorchNetwork":
    """A network with its weights. Arguments are text, as `--options` gives them.

    network: package.module:function, which makes it. weights: a state_dict, or a dict that holds
    one under "state_dict"; empty: `build` has loaded them. side: pixels, of the zoomed crops.
    """
    module, _, name = network.partition(":")
    made = getattr(importlib.import_module(module), name)()
    about = {
        "network": network,
        "torch": torch.__version__,
        "dtype": "float32",
        "parameters": sum(parameter.numel() for parameter in made.parameters()),
    }
    if weights:
        content = torch.load(weights, map_location="cpu", weights_only=True)
        made.load_state_dict(content.get("state_dict", content))
        about["weights"] = f"crc32:{zlib.crc32(Path(weights).read_bytes()):08x}"
    return TorchNetwork(made.eval().to(device), int(side), device, about)


class TorchNetwork:
    """A predictor. It has a batched form, of which the single one is a batch of one."""

    def __init__(self, network, side=448, device="cpu", about=None):
        self._network, self._device = network, device
        self.zoom_in_size = side  # crops by the protocol, and its flip
        self.about = about or {}

    def set_image(self, rgb: np.ndarray) -> None:
        """[h, w, 3] in 0..255. Nothing is computed ahead: clicks enter the first layer."""
        self._rgb = rgb

    def predict(self, clicks, prev_mask: np.ndarray) -> np.ndarray:
        """clicks: (y, x, positive). prev_mask: float32 [h, w]. Returns float32 [h, w]."""
        return self.predict_batch(self._rgb[None], [clicks], prev_mask[None])[0]

    def predict_batch(self, images: np.ndarray, clicks, prev_masks: np.ndarray) -> np.ndarray:
        """[b, h, w, 3] in 0..255, b lists of clicks, float32 [b, h, w]. Returns float32 [b, h, w]."""
        image = np.concatenate([images / np.float32(255), prev_masks[..., None]], -1)
        image = np.ascontiguousarray(image.transpose(0, 3, 1, 2), np.float32)
        with torch.inference_mode():
            answer = self._network(
                torch.from_numpy(image).to(self._device),
                torch.from_numpy(point_rows(clicks)).to(self._device),
            )
            logits = answer["instances"] if isinstance(answer, dict) else answer
            return logits[:, 0].float().sigmoid().cpu().numpy()


def point_rows(clicks) -> np.ndarray:
    """The clicks of a batch as RITM takes them: float32 [b, 2 n, 3]."""
    signs = [[sum(c.positive == sign for c in each) for sign in (True, False)] for each in clicks]
    n = max(1, *(number for pair in signs for number in pair))
    points = np.full((len(clicks), 2 * n, 3), -1, np.float32)
    for row, each in zip(points, clicks, strict=True):
        used = [0, n]
        for order, (y, x, positive) in enumerate(each):
            place = 0 if positive else 1
            row[used[place]] = y, x, order
            used[place] += 1
    return points
