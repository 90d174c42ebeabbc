"""What a data set goes without, and why: counted, and told in one sentence."""

from collections import Counter
from typing import Literal, NamedTuple, get_args

Kind = Literal["picture", "mask", "object"]


class Problem(NamedTuple):
    """Why a file or an entry cannot be used.

    trap: its name, a key of doctor/traps.py.
    message: what is wrong, to follow the name of the file or entry.
    """

    trap: str
    message: str


class LeftOut:
    """Counts what a source leaves out of a data set."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._examples: dict[str, str] = {}  # of each trap, the first

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, what: Kind, where: str, problem: Problem, number: int = 1) -> None:
        """Counts `number` of `what`; `where` names the first of them."""
        if number:
            self._counts.setdefault(what, Counter())[problem.trap] += number
            self._examples.setdefault(problem.trap, f"{where} {problem.message}")

    def number(self, what: Kind) -> int:
        """How many of `what` are left out."""
        return self._counts[what].total() if what in self._counts else 0

    def sentence(self) -> str:
        """Counts by trap and an example of each kind, in one line; "" when nothing is left out."""
        kinds = [kind for kind in get_args(Kind) if kind in self._counts]
        if not kinds:
            return ""
        parts, examples = [], []
        for kind in kinds:
            traps = self._counts[kind].most_common()
            listed = ", ".join(f"{trap} {number:,}" for trap, number in traps)
            parts.append(f"{counted(self.number(kind), kind)} ({listed})")
            examples.append(self._examples[traps[0][0]])
        verb = "is" if sum(map(self.number, kinds)) == 1 else "are"
        return f"{' and '.join(parts)} {verb} left out: {'; '.join(dict.fromkeys(examples))}"


def counted(number: int, what: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
