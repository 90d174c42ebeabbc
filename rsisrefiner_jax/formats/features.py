"""The features of a vector file as they lie in it: shapes, attributes and ids."""

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsisrefiner_jax.errors import UserError, require
from rsisrefiner_jax.formats.region import plain_id, usable_ids
from rsisrefiner_jax.formats.vectors import source

PLAIN_GEOJSON = "EPSG:4326"  # what GDAL says of a GeoJSON that states no system
POLYGONS = ("Polygon", "Surface", "Unknown", "Collection")  # in what GDAL calls such layers
POINTS = ("Point", "Unknown", "Collection")
_CURVED = (8, 9, 10, 11, 12, 15, 16, 17)  # types of well-known binary that shapely does not read

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Features:
    """Those of a layer, or what of them lies in a box.

    shapes: shapely geometries [n]; None where there is none. table: attributes of each. ids: None
    where none can be kept. total: how many the layer has. dtypes: numpy's name of every
    attribute's type; "object" for text and whatever else.
    """

    crs: str | None
    shapes: np.ndarray
    table: list[dict[str, Any]]
    ids: list[int] | None
    total: int
    dtypes: dict[str, str]


def read_features(
    file: Path,
    shown: str,
    layer: str,
    wanted: Callable[[list[str]], list[str]],
    place: Callable[[str | None], tuple[str | None, Box | None]],
    most: int | None = None,
    kinds: tuple[str, ...] = POLYGONS,
) -> Features:
    """Reads a layer, of polygons as a rule.

    Ids are those of a column "id" if all can be kept (`region.usable_ids`), else those of the
    file, plus 1 in layers that count from 0.

    Args:
        shown: what to call the file in messages.
        layer: its name; "" = the only one.
        wanted: names of all attributes -> of those to read.
        place: the system that the file states -> the one that counts, and the box of interest.
        most: more features are refused.
        kinds: of layers, any of which will do: `POLYGONS`, `POINTS`.

    Raises:
        UserError: pyogrio or shapely is missing; the file is missing or broken, has no such layer
            or several; or what `wanted` and `place` raise.
    """
    with _opened(file, shown) as given:
        import shapely
        from pyogrio import raw, read_info

        layer = layer or _only_layer(shown, given, kinds)
        about = read_info(given, layer=layer, force_feature_count=True)
        crs, box = place(about["crs"])
        fields = [str(name) for name in about["fields"]]
        columns = wanted(fields)
        kept_ids, shift = _ids(raw, given, layer, fields)
        meta, fids, wkb, values = raw.read(
            given,
            layer=layer,
            columns=columns,
            bbox=box,
            force_2d=True,
            return_fids=True,
            max_features=None if most is None else most + 1,
        )
    require(most is None or len(wkb) <= most, f"{shown}: more than {most} objects in one file")
    ids = [kept_ids.get(fid, fid + shift) for fid in fids.tolist()]
    return Features(
        crs=crs,
        shapes=shapely.from_wkb(_straight(raw, wkb), on_invalid="fix"),
        table=_rows([str(name) for name in meta["fields"]], values, len(wkb)),
        ids=ids if usable_ids(ids) else None,
        total=int(about["features"]),
        dtypes=dict(zip(map(str, meta["fields"]), map(str, meta["dtypes"]), strict=True)),
    )


def _require_libraries(shown: str) -> None:
    try:
        import pyogrio  # noqa: F401
        import shapely  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{shown}: reading vector files needs pyogrio and shapely; run pip install -e .[geo]"
        ) from error


def _ids(raw: Any, given: str, layer: str, fields: list[str]) -> tuple[dict[int, int], int]:
    """Ids by those of the file, of a column "id" that can be kept; and what to add to the file's
    own ids where there is none."""
    field = next((name for name in fields if name.lower() == "id"), None)
    _, fids, _, columns = raw.read(
        given,
        layer=layer,
        columns=[field] if field else [],
        read_geometry=False,
        return_fids=True,
        max_features=None if field else 1,
    )
    own = fids.tolist()
    values = [plain_id(value) for value in columns[0].tolist()] if field else []
    kept = dict(zip(own, values, strict=True)) if field and usable_ids(values) else {}
    return kept, int(0 in own)


def _straight(raw: Any, wkb: np.ndarray) -> np.ndarray:
    """Well-known binary with straight lines in the place of curves, as GDAL makes them."""
    types = np.array([_type_of(shape) for shape in wkb], int)
    bent = np.flatnonzero(np.isin(types, _CURVED))
    if not len(bent):
        return wkb
    import shapely

    text = io.BytesIO()
    raw.write(
        text,
        wkb[bent],
        [],
        [],
        driver="GeoJSON",
        geometry_type="Unknown",
        crs=PLAIN_GEOJSON,  # a GeoJSON has one; coordinates stay as they are
    )
    features = json.loads(text.getvalue())["features"]
    straight = wkb.copy()
    for i, feature in zip(bent, features, strict=True):
        shape = feature["geometry"]
        straight[i] = None if shape is None else shapely.to_wkb(shapely.geometry.shape(shape))
    return straight


def _type_of(wkb: bytes | None) -> int:
    """The kind of geometry, whatever number of coordinates its points have."""
    if not wkb or len(wkb) < 5:
        return 0
    return int.from_bytes(wkb[1:5], "little" if wkb[0] else "big") % 0x20000000 % 1000


def has_polygons(file: Path) -> bool:
    """Whether a vector file has a layer that may hold polygons. Raises UserError as above."""
    with _opened(file, str(file)) as given:
        return bool(_layers(given, POLYGONS))


def count_features(file: Path) -> int:
    """Those of all layers of a vector file. Raises UserError as above."""
    with _opened(file, str(file)) as given:
        from pyogrio import list_layers, read_info

        names = [str(name) for name, kind in list_layers(given) if kind]
        about = [read_info(given, layer=name, force_feature_count=True) for name in names]
        return sum(int(one["features"]) for one in about)


@contextlib.contextmanager
def _opened(file: Path, shown: str) -> Iterator[str]:
    """What to give to pyogrio for a file. Raises UserError: it is missing or broken."""
    _require_libraries(shown)
    from pyogrio.errors import DataLayerError, DataSourceError

    require(file.is_file(), f"{shown}: no such vector file")
    try:
        with source(file) as given:
            yield given
    except (DataLayerError, DataSourceError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{shown}: cannot be read as a vector file ({error})") from error


def _layers(given: str, kinds: tuple[str, ...]) -> list[str]:
    """Names of the layers of these kinds."""
    from pyogrio import list_layers

    return [
        str(name)
        for name, kind in list_layers(given)
        if kind and any(word in kind for word in kinds)
    ]


def _only_layer(shown: str, given: str, kinds: tuple[str, ...]) -> str:
    layers = _layers(given, kinds)
    wanted = "polygons or points" if set(kinds) > set(POLYGONS) else "polygons"
    require(bool(layers), f"{shown}: no layer of {wanted} in this file")
    require(
        len(layers) == 1,
        f"{shown}: several layers of {wanted} ({', '.join(layers)[:200]}); choose one with "
        f"{shown}|layername={layers[0]}, or keep one of them",
    )
    return layers[0]


def _rows(fields: list[str], columns: list[np.ndarray], count: int) -> list[dict[str, Any]]:
    if not fields:
        return [{} for _ in range(count)]
    values = zip(*map(_plain, columns), strict=True)
    return [dict(zip(fields, row, strict=True)) for row in values]


def _plain(column: np.ndarray) -> list[Any]:
    """A column as plain values; None where there is nothing."""
    values = column.astype(str).tolist() if column.dtype.kind == "M" else column.tolist()
    return [None if v is None or v != v or v == "NaT" else v for v in values]
