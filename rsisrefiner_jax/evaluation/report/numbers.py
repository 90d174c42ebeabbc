"""Numbers in the HTML of the report, each with the place in report.json that it was read from."""

import html
from typing import Any

UNKNOWN = "-"
Step = str | int


class Numbers:
    """Reads report.json and shows what is there. The page gets its numbers from nowhere else."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def at(self, *path: Step) -> Any:
        """The value at a path; None where one of its parents is None or lacks it."""
        value: Any = self._document
        for step in path:
            if value is None or (isinstance(value, dict) and step not in value):
                return None
            value = value[step]
        return value

    def show(self, *path: Step, form: str = "", scale: float = 1) -> str:
        """HTML of the number at a path, times `scale`, formatted; "-" where there is none."""
        value = self.at(*path)
        if value is None:
            return UNKNOWN
        where = html.escape(pointer(path), quote=True)
        more = "" if scale == 1 else f" data-scale='{scale:g}'"
        text = format(value * scale if scale != 1 else value, form)
        return f"<span data-json='{where}'{more}>{text}</span>"


def pointer(path: tuple[Step, ...]) -> str:
    """A path into JSON as RFC 6901 writes it."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
