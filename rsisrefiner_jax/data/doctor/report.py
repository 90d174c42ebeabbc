"""What the doctor says, as text."""

import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from rsisrefiner_jax.data.doctor.census import SMALL, Census
from rsisrefiner_jax.data.doctor.coco_set import CocoSet
from rsisrefiner_jax.data.doctor.folder_set import FolderSet
from rsisrefiner_jax.data.doctor.traps import TRAPS, Finding
from rsisrefiner_jax.formats.left_out import counted

_SHOWN = 3  # findings of one trap
_HEADINGS = {
    "defect": "DEFECTS",
    "doubt": "DOUBTS, for a person to look at",
    "note": "NOTES, nothing to mend",
}


def describe_set(examined: CocoSet | FolderSet | None, census: Census | None) -> str:
    """What was examined, in one line."""
    if isinstance(examined, CocoSet):
        return (
            f"{counted(len(examined.pictures), 'picture')} and "
            f"{counted(len(examined.annotations), 'annotation')} examined{_not_listed(examined)}"
        )
    if isinstance(examined, FolderSet):
        return (
            f"{counted(len(examined.pictures), 'picture')} and "
            f"{counted(len(examined.masks), 'mask')} examined"
        )
    return f"{counted(census.scenes if census else 0, 'scene')} examined"


def describe_findings(findings: Sequence[Finding]) -> str:
    """The findings by trap: how many, the first of them, and the way out."""
    by_trap: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_trap[finding.trap].append(finding)
    lines = []
    for severity, heading in _HEADINGS.items():
        traps = [trap for trap in TRAPS if trap in by_trap and TRAPS[trap].severity == severity]
        if traps:
            lines += ["", heading]
        for trap in traps:
            found = by_trap[trap]
            lines.append(f"  {trap} ({len(found)}): {TRAPS[trap].advice}")
            lines += [f"      {item.file}: {item.message}" for item in found[:_SHOWN]]
            if len(found) > _SHOWN:
                lines.append(f"      ... and {len(found) - _SHOWN} more")
    return "\n".join(lines[1:])


def describe_census(census: Census) -> str:
    """A table of the objects that training and evaluation get."""
    some = "" if census.scenes + len(census.unread) == census.total else f" of {census.total:,}"
    head = f"{counted(census.objects, 'object')} in {counted(census.scenes, 'scene')}{some}"
    if census.without_objects:
        head += f", {census.without_objects:,} of them without objects"
    if census.empty:
        head += f"; {counted(census.empty, 'picture')} without objects"
    if census.unread:
        head += f"; {counted(len(census.unread), 'scene')} cannot be read"
    lines = ["WHAT TRAINING AND EVALUATION GET", f"  {head}"]
    lines += [f"  {census.left_out}"] if census.left_out else []
    lines += [f"      {reason}" for reason in census.unread[:_SHOWN]]
    if census.objects:
        width = max(len("class"), *(len(name) for name in census.areas))
        lines.append(f"  {'class':{width}}  {'objects':>9}  {f'below {SMALL} px':>12}  median px")
        rows = sorted(census.areas.items(), key=lambda item: (-len(item[1]), item[0]))
        if len(rows) > 1:
            rows.append(("all", [area for _, areas in rows for area in areas]))
        for name, areas in rows:
            small = sum(area < SMALL for area in areas)
            lines.append(
                f"  {name or '-':{width}}  {len(areas):9,}  {small:12,}  {np.median(areas):9,.0f}"
            )
        lines.append(
            f"  Evaluation uses every object; training drops those below {SMALL} px after "
            "augmentation (data.min_object_area)."
        )
    return "\n".join(lines)


def _not_listed(coco: CocoSet) -> str:
    """How many files of the folder the JSON does not name; splits often share a folder."""
    named = {image["file_name"] for image in coco.images}
    try:
        names = {name for name in os.listdir(coco.images_dir) if not name.startswith(".")}
    except OSError:
        return ""
    return f", {counted(len(names - named), 'other file')} in the folder" if names - named else ""
