"""The widget: a picture, the clicks on it, and what they come to."""

import contextlib
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from rsisrefiner_jax.annotate.pictures import ArrayPicture, RasterPicture
from rsisrefiner_jax.annotate.prompts import segmentation_task
from rsisrefiner_jax.annotate.segmenter import Segmenter
from rsisrefiner_jax.annotate.windows import Click
from rsisrefiner_jax.errors import UserError
from rsisrefiner_jax.formats.masks import EMPTY, Mask
from rsisrefiner_jax.notebook import images

HERE = Path(__file__).parent


class ClickWidget(anywidget.AnyWidget):
    """Segments an object by clicks, as the annotator does, in a notebook.

    Left click adds, right click or left with shift takes away. `mask` is what the clicks come to;
    `click`, `undo` and `clear` do from Python what the page does. Coordinates are (y, x) pixels:
    row 0, column 0 is the first one, and what follows the point is dropped.

    What the page is told: `size`, (height, width); `shown`, the clicks and the mask as a picture.
    What it sends: messages of the kinds "click", "undo", "clear" and "view".
    """

    _esm = HERE / "widget.js"
    _css = HERE / "widget.css"
    size = traitlets.Tuple().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)

    def __init__(self, picture: RasterPicture | ArrayPicture, segmenter: Segmenter) -> None:
        self._picture = picture
        self._segmenter = segmenter
        self._clicks: tuple[Click, ...] = ()
        self._object = EMPTY
        super().__init__(size=(picture.height, picture.width), shown=_shown((), EMPTY))
        self.on_msg(self._heard)

    @property
    def mask(self) -> np.ndarray:
        """bool [h, w]: the pixels of the object; the caller's own."""
        return self._object.within(0, 0, self._picture.width, self._picture.height)

    @property
    def clicks(self) -> tuple[tuple[float, float, bool], ...]:
        """(y, x, positive) of every click so far."""
        return tuple((click.y, click.x, click.positive) for click in self._clicks)

    def click(self, y: float, x: float, positive: bool = True) -> None:
        """Adds a click.

        Raises:
            UserError: it lies outside the picture, or too far from the others; nothing changes.
        """
        self._become((*self._clicks, Click(float(x), float(y), bool(positive))))

    def undo(self) -> None:
        """Takes the last click back, if there is one."""
        self._become(self._clicks[:-1])

    def clear(self) -> None:
        """Forgets the clicks."""
        self._become(())

    def _become(self, clicks: tuple[Click, ...]) -> None:
        found = EMPTY
        if clicks:
            found = self._segmenter.segment(*segmentation_task(self._picture, clicks)).mask
        self._clicks, self._object = clicks, found
        self.shown = _shown(clicks, found)

    def _heard(self, _: Any, content: dict[str, Any], _buffers: Any) -> None:
        """A message of the page."""
        if content["kind"] == "view":
            self._send_view(content)
            return
        trouble = ""
        try:
            self._do(content)
        except UserError as error:
            trouble = str(error)
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.send({"kind": "answered", "trouble": trouble})
        with contextlib.suppress(Exception):  # said where a click comes to it
            self._segmenter.look_ahead()

    def _do(self, content: dict[str, Any]) -> None:
        if content["kind"] == "click":
            self.click(content["y"], content["x"], content["positive"])
        elif content["kind"] == "undo":
            self.undo()
        elif content["kind"] == "clear":
            self.clear()

    def _send_view(self, asked: dict[str, Any]) -> None:
        """Sends the part of the picture that the page shows, as fine as it can show it."""
        window, step = images.view_of(asked, self._picture.height, self._picture.width)
        if not window.height or not window.width:
            return
        y, x, height, width = window
        reply = {"kind": "view", "view": asked["view"], "x": x, "y": y, "w": width, "h": height}
        png = images.picture_png(self._picture.read(window, step))
        self.send(reply, buffers=[png])


def _shown(clicks: tuple[Click, ...], found: Mask) -> dict[str, Any]:
    """What the page shows over the picture."""
    return {
        "clicks": [[click.y, click.x, click.positive] for click in clicks],
        "area": found.area,
        "x": found.x,
        "y": found.y,
        "w": found.width,
        "h": found.height,
        "png": images.mask_png(found.pixels),
    }
