"""A table of the paper: its rows for a base configuration, and its published numbers."""

import dataclasses
import inspect
from collections.abc import Callable

from rsisrefiner_jax.config import Config, Model
from rsisrefiner_jax.errors import require
from rsisrefiner_jax.tables import ablations, fine_tuning
from rsisrefiner_jax.tables.ablations import Rows

# Row -> column, such as a data set -> metric -> the number.
Published = dict[str, dict[str, dict[str, float]]]


@dataclasses.dataclass(frozen=True)
class Table:
    """One of the paper's tables."""

    number: int
    make_rows: Callable[..., Rows]

    @property
    def title(self) -> str:
        """Its number and what it is about."""
        return self._lines()[0].rstrip(".")

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the paper lists, such as NoC80."""
        return tuple(self._head()[0].split())

    @property
    def targets(self) -> tuple[float, ...]:
        """The IoUs of its NoC; none where it is about costs."""
        return tuple(int(m[3:]) / 100 for m in self.metrics if m.startswith("NoC"))

    def rows(self, base: Config, pretrained: str | None = None) -> Rows:
        """The rows by name; the last, which the others are held against, is the base.

        pretrained: of Tables III and V, see `fine_tuning`.

        Raises:
            UserError: the base is not the paper's method, or cannot have this table.
        """
        needs_the_whole_method(base, self.number)
        missing = [t for t in self.targets if t not in base.protocol.noc_targets]
        require(
            not missing,
            f"table {self.number} on {base.name}: protocol.noc_targets lacks {missing}",
        )
        if self.number in (3, 5):
            return self.make_rows(base, pretrained)
        return self.make_rows(base)

    def published(self) -> Published:
        """The paper's numbers."""
        _, *columns = self._head()
        found: Published = {}
        for name, *cells in self._cells()[1:]:
            values = ([float(number) for number in cell.split()] for cell in cells)
            found[name] = {
                column: dict(zip(self.metrics, numbers, strict=True))
                for column, numbers in zip(columns, values, strict=True)
            }
        return found

    def _lines(self) -> list[str]:
        return (inspect.getdoc(self.make_rows) or "").splitlines()

    def _cells(self) -> list[list[str]]:
        return [[c.strip() for c in line.split("|")] for line in self._lines() if "|" in line]

    def _head(self) -> list[str]:
        return self._cells()[0]


TABLES = {
    number: Table(number, make)
    for number, make in {
        3: fine_tuning.table_3,
        5: fine_tuning.table_5,
        6: ablations.table_6,
        7: ablations.table_7,
        8: ablations.table_8,
        9: ablations.table_9,
    }.items()
}


def needs_the_whole_method(base: Config, number: int) -> None:
    """Raises UserError: the base is an ablation itself, or another network."""
    plain = Model()
    for name in ("network", "early_fusion", "theta", "f_vit", "f_hq", "modulation", "lora_rank"):
        value, expected = getattr(base.model, name), getattr(plain, name)
        require(
            value == expected,
            f"table {number} on {base.name}: model.{name}={value} is an ablation already; "
            f"the base has {expected}",
        )
    require(
        base.train.steps > 0, f"table {number} on {base.name}: train.epochs=0 would train nothing"
    )
