"""Accepted objects as features of a layer."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsProject,
    QgsVectorLayer,
    QgsVectorLayerUtils,
)

from .grid import Polygon
from .preview import geometry_of
from .server import Refused

FIELDS = {
    "object_id": "integer",
    "class": "string(200)",
    "clicks": "integer",
    "area_m2": "double",
}


def new_layer(name: str, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
    """A temporary layer for the objects of a raster, in its system."""
    given = [f"field={field}:{kind}" for field, kind in FIELDS.items()]
    if crs.authid():  # with one from the start QGIS does not ask for it
        given.insert(0, f"crs={crs.authid()}")
    layer = QgsVectorLayer("MultiPolygon?" + "&".join(given), name, "memory")
    layer.setCrs(crs)
    return layer


def add_object(
    layer: QgsVectorLayer,
    polygons: list[Polygon],
    crs: QgsCoordinateReferenceSystem,
    values: dict[str, Any],
) -> None:
    """Adds an object to a layer of polygons.

    Where the layer is being edited it becomes part of that edit; otherwise it is saved at once.

    Args:
        polygons: in the coordinates of `crs`, the raster's.
        values: by the names of `FIELDS`; those that the layer has not got are left out.

    Raises:
        Refused: the layer does not take it; nothing of it stays there.
    """
    geometry = geometry_of(polygons)
    try:
        geometry.transform(QgsCoordinateTransform(crs, layer.crs(), QgsProject.instance()))
    except QgsCsException:
        raise Refused("the object has no place in the layer's coordinate system") from None
    numbers = {field: layer.fields().lookupField(field) for field in values}
    attributes = {number: values[field] for field, number in numbers.items() if number >= 0}
    feature = QgsVectorLayerUtils.createFeature(layer, geometry, attributes)
    # A layer that takes one polygon a feature gets as many features as there are.
    features = QgsVectorLayerUtils.makeFeatureCompatible(feature, layer)
    _add(layer, features)


def _add(layer: QgsVectorLayer, features: list) -> None:
    own = not layer.isEditable()
    if own and not layer.startEditing():
        raise Refused("the layer cannot be edited; choose another one, or a new one")
    layer.beginEditCommand("Object by clicks")
    if not layer.addFeatures(features):
        layer.destroyEditCommand()
        if own:
            layer.rollBack()
        raise Refused("the layer does not take the object")
    layer.endEditCommand()
    if own and not layer.commitChanges():
        errors = "; ".join(layer.commitErrors())
        layer.rollBack()
        raise Refused(f"the layer could not be saved: {errors}")
    layer.triggerRepaint()
