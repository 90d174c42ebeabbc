"""Clicks and keys on the map."""

from __future__ import annotations

from qgis.core import QgsPointXY
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QCursor, QKeyEvent


class ClickTool(QgsMapTool):
    """Left click adds; right click, or left with shift, takes away. Backspace undoes, Enter
    accepts, Escape discards.

    clicked: the place in the map's coordinates, and whether it adds.
    """

    clicked = pyqtSignal(QgsPointXY, bool)
    undone = pyqtSignal()
    accepted = pyqtSignal()
    discarded = pyqtSignal()

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(QCursor(Qt.CursorShape.CrossCursor))
        self._keys = {
            Qt.Key.Key_Backspace: self.undone,
            Qt.Key.Key_Return: self.accepted,
            Qt.Key.Key_Enter: self.accepted,
            Qt.Key.Key_Escape: self.discarded,
        }

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        """Called by QGIS when a mouse button is let go."""
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(event.mapPoint(), not shift)
        elif event.button() == Qt.MouseButton.RightButton:
            self.clicked.emit(event.mapPoint(), False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Called by QGIS when a key is pressed over the map."""
        signal = self._keys.get(event.key())
        if signal is None:
            event.ignore()
        else:
            signal.emit()
            event.accept()
