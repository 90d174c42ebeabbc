"""An ML backend for Label Studio: the smart point and box as clicks, answered as a brush mask."""

import functools
from pathlib import Path
from typing import Any

from label_studio_ml.exceptions import AnswerException
from label_studio_ml.model import LabelStudioMLBase
from label_studio_sdk.converter.brush import mask2rle
from regions import box_of, clicks_of, label_of, prediction, prompts_in, require_size

from rsisrefiner_jax.annotate.pictures import ArrayPicture, picture_in
from rsisrefiner_jax.annotate.prompts import box_in_pixels
from rsisrefiner_jax.annotate.stateless import StatelessSegmenter
from rsisrefiner_jax.errors import UserError


@functools.lru_cache(maxsize=1)
def segmenter() -> StatelessSegmenter:
    """The one of this process; the library makes a new backend for every request."""
    return StatelessSegmenter()


@functools.lru_cache(maxsize=2)
def picture_of(path: Path, _written: int) -> ArrayPicture:
    """A picture's file; the last ones are kept, as every click asks for its picture again."""
    return picture_in(path.read_bytes(), "image")


class RSISRefiner(LabelStudioMLBase):
    """What Label Studio asks."""

    def setup(self) -> None:
        """Called for every request."""
        version = f"rsisrefiner {segmenter().name}"
        if self.get("model_version") != version:
            self.set("model_version", version)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        """The mask that the points and boxes drawn so far mean; nothing before there are any."""
        if not tasks or not (context or {}).get("result"):
            return []
        try:
            return [self._predicted(tasks[0], context or {})]
        except UserError as error:
            raise AnswerException(422, str(error), {}) from error

    def _predicted(self, task: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
        try:
            found = self.get_first_tag_occurence("BrushLabels", "Image")
        except ValueError as error:
            raise UserError("the labelling configuration has no BrushLabels for Image") from error
        from_name, to_name, field = found
        prompts = prompts_in(context)
        label = label_of(prompts, self.label_interface.get_control(from_name).labels)
        picture = self._picture(task, field)
        size = picture.width, picture.height
        require_size(prompts, *size)
        box = box_of(prompts)
        box = box and box_in_pixels(box, size, None, None)
        answer = segmenter().segment(picture, clicks_of(prompts), box)
        made = prediction(answer, size, (from_name, to_name), label, mask2rle)
        return made | {"model_version": self.get("model_version")}

    def _picture(self, task: dict[str, Any], field: str) -> ArrayPicture:
        address = task.get("data", {}).get(field)
        if not isinstance(address, str):
            raise UserError(f"the task has no picture in {field!r}")
        try:
            path = Path(self.get_local_path(address, task_id=task.get("id")))
            return picture_of(path, path.stat().st_mtime_ns)
        except OSError as error:  # those of requests, too
            raise UserError(
                f"the picture cannot be fetched ({error}); are LABEL_STUDIO_URL and "
                "LABEL_STUDIO_API_KEY set?"
            ) from error
