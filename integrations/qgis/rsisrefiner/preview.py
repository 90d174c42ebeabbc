"""The object that is being drawn, on the map: its outline and the clicks."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
)
from qgis.gui import QgsMapCanvas, QgsRubberBand, QgsVertexMarker
from qgis.PyQt.QtGui import QColor

from .grid import Grid, Polygon

FILL, LINE = QColor(58, 160, 255, 80), QColor(58, 160, 255)
ADDS, TAKES_AWAY = QColor(47, 191, 79), QColor(229, 56, 59)


class Preview:
    """A rubber band and a mark for every click, above all layers."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        self._canvas = canvas
        self._marks: list[QgsVertexMarker] = []
        self._shown: tuple = (None, Grid(None), QgsCoordinateReferenceSystem())
        self._band = QgsRubberBand(canvas)
        self._band.setFillColor(FILL)
        self._band.setStrokeColor(LINE)
        self._band.setWidth(2)
        canvas.destinationCrsChanged.connect(self._again)

    def show(
        self, session: dict[str, Any] | None, grid: Grid, crs: QgsCoordinateReferenceSystem
    ) -> None:
        """Shows a session of the server, or nothing.

        Args:
            crs: of the raster.
        """
        self._shown = session, grid, crs
        session = session or {"geometry": None, "clicks": []}
        self._band.setToGeometry(geometry_of(grid.polygons(session["geometry"])), crs)
        self._remove_marks()
        for click in session["clicks"]:
            self._mark(QgsPointXY(*grid.to_ground(click["x"], click["y"])), crs, click["positive"])

    def remove(self) -> None:
        """Takes everything off the map, for good."""
        self._canvas.destinationCrsChanged.disconnect(self._again)
        self._remove_marks()
        self._canvas.scene().removeItem(self._band)

    def _again(self) -> None:
        """In the map's new system."""
        self.show(*self._shown)

    def _mark(self, place: QgsPointXY, crs: QgsCoordinateReferenceSystem, positive: bool) -> None:
        there = self._canvas.mapSettings().destinationCrs()
        try:
            place = QgsCoordinateTransform(crs, there, QgsProject.instance()).transform(place)
        except QgsCsException:
            return  # the map cannot show this place
        mark = QgsVertexMarker(self._canvas)
        mark.setIconType(QgsVertexMarker.IconType.ICON_CIRCLE)
        mark.setColor(QColor(255, 255, 255))
        mark.setFillColor(ADDS if positive else TAKES_AWAY)
        mark.setIconSize(11)
        mark.setPenWidth(2)
        mark.setCenter(place)
        self._marks.append(mark)

    def _remove_marks(self) -> None:
        for mark in self._marks:
            self._canvas.scene().removeItem(mark)
        self._marks = []


def geometry_of(polygons: list[Polygon]) -> QgsGeometry:
    """A MultiPolygon; no geometry of no polygon."""
    if not polygons:
        return QgsGeometry()
    points = [[[QgsPointXY(*xy) for xy in ring] for ring in rings] for rings in polygons]
    return QgsGeometry.fromMultiPolygonXY(points)
