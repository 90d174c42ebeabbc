"""One examination, from the SPEC to the verdict."""

from collections.abc import Iterator

from rsisrefiner_jax.data.doctor import coco_checks, folder_checks  # noqa: F401  registers checks
from rsisrefiner_jax.data.doctor.between_splits import compare_categories, compare_pictures
from rsisrefiner_jax.data.doctor.census import Census, colour_doubt, take_census
from rsisrefiner_jax.data.doctor.coco_set import CocoSet
from rsisrefiner_jax.data.doctor.fix import write_fixed
from rsisrefiner_jax.data.doctor.folder_set import FolderSet
from rsisrefiner_jax.data.doctor.object_sheet import object_sheet
from rsisrefiner_jax.data.doctor.pictures import quiet_decoders
from rsisrefiner_jax.data.doctor.report import describe_census, describe_findings, describe_set
from rsisrefiner_jax.data.doctor.sets import read_set
from rsisrefiner_jax.data.doctor.traps import Finding, run_checks
from rsisrefiner_jax.data.scene import Source
from rsisrefiner_jax.data.spec import open_source
from rsisrefiner_jax.data.stretch import Recipe
from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.left_out import counted


def examine(
    spec: str,
    recipe: Recipe = Recipe(),
    against: str | None = None,
    fix: str | None = None,
    sheet: str | None = None,
    seed: int = 0,
    strict: bool = False,
) -> None:
    """Prints findings and counts; writes the repaired copy and the sheet when asked to.

    Raises:
        UserError: the set cannot be used as it is, or, if `strict`, has any defect.
    """
    quiet_decoders()
    examined = read_set(spec)
    require(
        fix is None or examined is not None,
        f"--fix {fix}: only coco:, instances: and classes: can be mended, not {spec}",
    )
    findings = run_checks(examined)
    if against:
        findings += _compare(examined, read_set(against), against)
    source, census, refusal = _use(spec, recipe)
    require(examined is not None or source is not None, refusal)
    if census:
        findings += colour_doubt(census, spec)
    defects = sum(finding.severity == "defect" for finding in findings)
    if not defects and not refusal:
        print(f"{spec}: clean, no known defect; {describe_set(examined, census)}")
    else:
        print(f"{spec}: {describe_set(examined, census)}")
    if findings:
        print("\n" + describe_findings(findings))
    if census:
        print("\n" + describe_census(census))
    if sheet and source:
        drawn = object_sheet(source, sheet, spec, seed=seed)
        print(f"\n{drawn} random objects drawn: {sheet}")
    if fix and examined is not None:
        copy = write_fixed(examined, spec, fix)
        print(f"\nrepaired copy (fix.json lists what was left out): {copy}")
        return
    hint = "; --fix DIR writes a copy with what can be used" if defects and examined else ""
    require(not refusal, f"{spec} cannot be used as it is: {refusal}{hint}")
    require(not (strict and defects), f"{spec} has {counted(defects, 'defect')} (--strict)")


def _use(spec: str, recipe: Recipe) -> tuple[Source | None, Census | None, str]:
    """The source as training and evaluation open it, its census, or why they would stop."""
    try:
        source = open_source(spec, recipe)
    except UserError as error:
        return None, None, str(error)
    except Exception as error:  # whatever broken data do to a source, the findings are printed
        return None, None, f"{type(error).__name__}: {error}"
    census = take_census(source)
    return source, census, census.unread[0] if census.unread else ""


def _compare(
    examined: CocoSet | FolderSet | None, other: CocoSet | FolderSet | None, against: str
) -> Iterator[Finding]:
    if examined is None or other is None:
        raise UserError(
            f"--against {against}: only coco:, instances: and classes: can be compared, by files"
        )
    if isinstance(examined, CocoSet) and isinstance(other, CocoSet):
        yield from compare_categories(examined, other)
    yield from compare_pictures(examined.files(), other.files())
