"""What is said of a refined layer when it is written."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rsisrefiner_jax.formats.left_out import counted
from rsisrefiner_jax.refine.answer import STATUSES, Answer

UNSURE = 0.8  # agreement below which an object should be looked at


def summary(answers: Sequence[Answer], overlaps: Sequence[float | None]) -> Iterator[str]:
    """Lines of text."""
    counts = Counter(answer.status for answer in answers)
    for status, meaning in STATUSES.items():
        if counts[status]:
            yield f"  {status:>10}  {counts[status]:>7,}  {meaning}"
    crowded = sum(overlap is not None and overlap > 0 for overlap in overlaps)
    if crowded:
        half = sum(overlap is not None and overlap > 0.5 for overlap in overlaps)
        yield f"{counted(crowded, 'object')} overlap another one, {half:,} by more than half"
    agreements = [a.agreement for a in answers if a.mask is not None and a.agreement is not None]
    if agreements:
        unsure = sum(agreement < UNSURE for agreement in agreements)
        mean = sum(agreements) / len(agreements)
        yield (
            f"agreement {mean:.3f} on average, below {UNSURE:g} for {counted(unsure, 'object')}: "
            "look at those with the lowest one first"
        )
