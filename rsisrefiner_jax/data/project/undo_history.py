"""What was done to the objects of an image, in order, so that it can be undone.

There is one row of edits an image, whoever did them: the last is undone first. What it changed is
therefore always as it left it, and undoing puts back what was there before. A new edit forgets
those that were undone.
"""

import dataclasses

from rsisrefiner_jax.data.project.records import Object


@dataclasses.dataclass(frozen=True, eq=False)
class Edit:
    """event: its journal number. label: what it was, "deletion of object 3".

    before, after: the records of the objects that it changed, None where there was none.
    session: the one that it discarded.
    """

    event: int
    label: str
    before: tuple[Object | None, ...] = ()
    after: tuple[Object, ...] = ()
    session: int | None = None


class History:
    """The edits of an image, and those that were undone, the last one last."""

    def __init__(self) -> None:
        self.done: list[Edit] = []
        self.undone: list[Edit] = []

    def add(self, edit: Edit) -> None:
        self.done.append(edit)
        self.undone.clear()

    def move(self, kind: str) -> None:
        """Takes the next one over to the other side."""
        if kind == "undo":
            self.undone.append(self.done.pop())
        else:
            self.done.append(self.undone.pop())
