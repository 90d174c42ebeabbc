"""The plugin inside QGIS, without a screen, against a running server of the annotator.

    QT_QPA_PLATFORM=offscreen python3 in_qgis.py

Environment: ANNOTATOR_ADDRESS what the server printed; RASTER a file that it has; CLICKS a JSON
list of [x, y, positive] in its pixels; PICTURE where a screenshot goes, if given.
"""

import json
import os
import sys
import time
import unittest
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas, QgsMessageBar, QgsRubberBand, QgsVertexMarker
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QMainWindow, QVBoxLayout, QWidget

sys.path.insert(0, str(Path(__file__).parent.parent))

import rsisrefiner

PATIENCE = 120  # seconds


class Interface:
    """What the plugin uses of QGIS's own window."""

    def __init__(self):
        self.window = QMainWindow()
        self.canvas = QgsMapCanvas()
        self.bar = QgsMessageBar()
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.addWidget(self.bar)
        layout.addWidget(self.canvas)
        self.window.setCentralWidget(inside)
        self.actions = []

    def mainWindow(self):
        return self.window

    def mapCanvas(self):
        return self.canvas

    def messageBar(self):
        return self.bar

    def addDockWidget(self, area, dock):
        self.window.addDockWidget(area, dock)

    def removeDockWidget(self, dock):
        self.window.removeDockWidget(dock)

    def addToolBarIcon(self, action):
        self.actions.append(action)

    def removeToolBarIcon(self, action):
        self.actions.remove(action)

    def addPluginToMenu(self, menu, action):
        self.actions.append(action)

    def removePluginMenu(self, menu, action):
        self.actions.remove(action)


class PluginTest(unittest.TestCase):
    """One session at the map. The map is in Web Mercator, the raster in its own system."""

    @classmethod
    def setUpClass(cls):
        cls.raster = QgsRasterLayer(os.environ["RASTER"], "scene")
        cls.clicks = json.loads(os.environ["CLICKS"])
        QgsProject.instance().addMapLayer(cls.raster)
        cls.iface = Interface()
        cls.canvas = cls.iface.canvas
        mercator = QgsCoordinateReferenceSystem("EPSG:3857")
        cls.canvas.setDestinationCrs(mercator)
        cls.canvas.setLayers([cls.raster])
        cls.to_map = QgsCoordinateTransform(cls.raster.crs(), mercator, QgsProject.instance())
        cls.plugin = rsisrefiner.classFactory(cls.iface)
        cls.plugin.initGui()
        cls.dock = cls.plugin.dock
        cls.dock.show()
        cls.iface.window.resize(1200, 700)
        cls.iface.window.show()
        cls.canvas.setExtent(cls.to_map.transformBoundingBox(cls.raster.extent()))
        cls.canvas.refresh()

    def setUp(self):
        self.dock.target.setCurrentIndex(0)
        if not self.dock.click_button.isEnabled():
            self.dock.address.setText(os.environ["ANNOTATOR_ADDRESS"])
            self.dock.connect_button.click()
            self.until(self.dock.click_button.isEnabled)
        if not self.dock.click_button.isChecked():
            self.dock.click_button.click()

    def tearDown(self):
        self.press(Qt.Key.Key_Escape)
        self.until(lambda: not self.marks())

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            QgsApplication.processEvents()
            time.sleep(0.01)
            assert time.monotonic() < end, self.said()

    def said(self):
        item = self.iface.bar.currentItem()
        return item.text() if item else self.dock.status.text()

    def marks(self, kind=QgsVertexMarker):
        return [item for item in self.canvas.scene().items() if isinstance(item, kind)]

    def outline(self):
        """The rubber band's geometry in the map's system."""
        (band,) = self.marks(QgsRubberBand)
        return band.asGeometry()

    def ground(self, x, y):
        extent = self.raster.extent()
        size = self.raster.rasterUnitsPerPixelX()
        return QgsPointXY(extent.xMinimum() + size * x, extent.yMaximum() - size * y)

    def on_screen(self, x, y):
        place = self.to_map.transform(self.ground(x, y))
        at = self.canvas.getCoordinateTransform().transform(place)
        return QPoint(round(at.x()), round(at.y()))

    def click(self, x, y, positive):
        button = Qt.MouseButton.LeftButton if positive else Qt.MouseButton.RightButton
        none = Qt.KeyboardModifier.NoModifier
        QTest.mouseClick(self.canvas.viewport(), button, none, self.on_screen(x, y))

    def click_all(self):
        for click in self.clicks:
            self.click(*click)
        self.until(lambda: len(self.marks()) == len(self.clicks))

    def press(self, key):
        QTest.keyClick(self.canvas, key)

    def take_picture(self, file):
        """The window, the map closer to the first click."""
        before = self.canvas.extent()
        middle = self.to_map.transform(self.ground(*self.clicks[0][:2]))
        self.canvas.setCenter(middle)
        self.canvas.zoomByFactor(0.4)
        self.canvas.refresh()
        self.canvas.waitWhileRendering()
        QgsApplication.processEvents()
        self.iface.window.grab().save(file)
        self.canvas.setExtent(before)

    def settled(self):
        """Waits until no request is under way."""
        self.until(lambda: "..." not in self.dock.status.text())

    def test_three_clicks_make_a_feature_in_the_system_of_the_raster(self):
        self.click_all()
        self.settled()
        if os.environ.get("PICTURE"):
            self.take_picture(os.environ["PICTURE"])
        shown = self.outline()
        assert shown.contains(self.to_map.transform(self.ground(*self.clicks[0][:2])))
        self.press(Qt.Key.Key_Return)
        self.until(lambda: self.dock.target_layer is not None)
        layer = self.dock.target_layer
        self.until(lambda: layer.featureCount() == 1)
        assert layer.crs() == self.raster.crs()
        (feature,) = layer.getFeatures()
        assert feature["clicks"] == len(self.clicks)
        assert feature["object_id"] > 0
        there = feature.geometry()
        there.transform(self.to_map)
        both = there.intersection(shown).area()
        assert min(both / shown.area(), both / there.area()) > 1 - 1e-6
        # Outlines run along the edges of pixels.
        size = self.raster.rasterUnitsPerPixelX()
        pixels = feature.geometry().area() / size**2
        assert abs(pixels - round(pixels)) < 1e-3
        assert self.marks() == []

    def test_a_layer_of_single_polygons_in_another_system(self):
        layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=CLICKS:integer", "mine", "memory")
        QgsProject.instance().addMapLayer(layer)
        self.dock.target.setLayer(layer)
        self.click(*self.clicks[0])
        self.until(lambda: len(self.marks()) == 1)
        self.settled()
        shown = self.outline()
        self.press(Qt.Key.Key_Return)
        self.until(lambda: layer.featureCount() > 0)
        assert not layer.isEditable()
        to_map = QgsCoordinateTransform(
            layer.crs(), self.canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
        area = 0.0
        for feature in layer.getFeatures():
            assert feature["CLICKS"] == 1
            assert not feature.geometry().isMultipart()
            geometry = feature.geometry()
            geometry.transform(to_map)
            area += geometry.intersection(shown).area()
        assert abs(area / shown.area() - 1) < 1e-4

    def test_a_layer_that_is_being_edited_is_not_saved(self):
        layer = QgsVectorLayer("MultiPolygon?crs=EPSG:4326", "edited", "memory")
        QgsProject.instance().addMapLayer(layer)
        layer.startEditing()
        self.dock.target.setLayer(layer)
        self.click(*self.clicks[0])
        self.dock.accept_button.click()  # before the answer is there
        self.until(lambda: layer.featureCount() == 1)
        assert layer.isEditable()
        layer.undoStack().undo()
        assert layer.featureCount() == 0
        layer.rollBack()

    def test_backspace_takes_back_and_escape_drops(self):
        self.click(*self.clicks[0])
        self.until(lambda: len(self.marks()) == 1)
        one = self.outline().asWkt()
        for click in self.clicks[1:]:
            self.click(*click)
        self.until(lambda: len(self.marks()) == len(self.clicks))
        assert self.outline().asWkt() != one
        for count in range(len(self.clicks) - 1, 0, -1):
            self.press(Qt.Key.Key_Backspace)
            self.until(lambda count=count: len(self.marks()) == count)
        assert self.outline().asWkt() == one
        self.press(Qt.Key.Key_Escape)
        self.until(lambda: not self.marks())
        assert self.outline().isEmpty()

    def test_the_marks_stay_where_they_are_in_another_map_system(self):
        self.click(*self.clicks[0])
        self.until(lambda: len(self.marks()) == 1)
        before = self.canvas.mapSettings().destinationCrs()
        other = QgsCoordinateReferenceSystem("EPSG:4326")
        self.canvas.setDestinationCrs(other)
        (mark,) = self.marks()
        change = QgsCoordinateTransform(self.raster.crs(), other, QgsProject.instance())
        there = change.transform(self.ground(*self.clicks[0][:2]))
        pixel = 2e-5  # of the screen, in degrees, as the click was rounded to one
        assert mark.center().distance(there) < pixel
        self.canvas.setDestinationCrs(before)

    def test_what_the_server_refuses_is_said(self):
        self.click(-5, 100, True)
        self.until(lambda: "outside the image" in self.said())
        self.iface.bar.clearWidgets()
        self.dock.address.setText("http://localhost:9/")
        self.dock.connect_button.click()
        self.until(lambda: "cannot be reached" in self.said())
        self.iface.bar.clearWidgets()

    @classmethod
    def tearDownClass(cls):
        cls.plugin.unload()
        left = [
            item
            for item in cls.canvas.scene().items()
            if isinstance(item, (QgsRubberBand, QgsVertexMarker))
        ]
        assert left == cls.iface.actions == [], "the plugin left something behind"
        QgsProject.instance().clear()


if __name__ == "__main__":
    application = QgsApplication([], True)
    application.initQgis()
    outcome = unittest.main(exit=False, verbosity=2).result
    sys.stdout.flush()
    sys.stderr.flush()
    # Without QGIS's own end, in which an interpreter that still holds layers may crash.
    os._exit(0 if outcome.wasSuccessful() else 1)
