"""The panel: which server, raster, class and layer, and the buttons."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsMapLayerProxyModel, QgsRasterLayer, QgsVectorLayer
from qgis.gui import QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

HELP = (
    "Left click adds, right click (or shift) takes away.\n"
    "Backspace undoes, Enter accepts, Escape discards."
)


class Dock(QDockWidget):
    """Widgets alone; what they do is the controller's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("RS-ISRefiner clicks", parent)
        self.setObjectName("RSISRefinerClicks")
        self.address = QLineEdit()
        self.address.setPlaceholderText("http://localhost:8000/#token=...")
        self.address.setToolTip('What the server printed after "open" when it was started')
        self.connect_button = QPushButton("Connect")
        self.raster = QgsMapLayerComboBox()
        self.raster.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.classes = QComboBox()
        self.target = QgsMapLayerComboBox()
        self.target.setFilters(QgsMapLayerProxyModel.Filter.PolygonLayer)
        self.target.setAllowEmptyLayer(True, "a new temporary layer")
        self.target.setCurrentIndex(0)  # which is that one
        self.click_button = QPushButton("Click objects")
        self.click_button.setCheckable(True)
        self.undo_button = QPushButton("Undo")
        self.accept_button = QPushButton("Accept")
        self.discard_button = QPushButton("Discard")
        self.status = QLabel()
        self.status.setWordWrap(True)
        self._lay_out()
        self.set_classes([])
        self.set_ready(False)

    def _lay_out(self) -> None:
        server = QHBoxLayout()
        server.addWidget(self.address)
        server.addWidget(self.connect_button)
        form = QFormLayout()
        form.addRow("Server", server)
        form.addRow("Raster", self.raster)
        form.addRow("Class", self.classes)
        form.addRow("Into", self.target)
        buttons = QHBoxLayout()
        for button in (self.undo_button, self.accept_button, self.discard_button):
            buttons.addWidget(button)
        whole = QVBoxLayout()
        whole.addLayout(form)
        whole.addWidget(self.click_button)
        whole.addLayout(buttons)
        whole.addWidget(self.status)
        whole.addWidget(QLabel(HELP))
        whole.addStretch()
        inside = QWidget()
        inside.setLayout(whole)
        self.setWidget(inside)

    def set_classes(self, classes: list[dict[str, Any]]) -> None:
        """Offers the classes of a project, and none."""
        chosen = self.classes.currentText()
        self.classes.clear()
        self.classes.addItem("no class", None)
        for item in classes:
            self.classes.addItem(item["name"], item["id"])
        self.classes.setCurrentIndex(max(self.classes.findText(chosen), 0))

    def set_ready(self, ready: bool) -> None:
        """Whether objects can be clicked."""
        for button in (
            self.click_button,
            self.undo_button,
            self.accept_button,
            self.discard_button,
        ):
            button.setEnabled(ready)

    def say(self, sentence: str) -> None:
        """One line of how things stand."""
        self.status.setText(sentence)

    @property
    def raster_layer(self) -> QgsRasterLayer | None:
        """The raster that is clicked on."""
        return self.raster.currentLayer()

    @property
    def target_layer(self) -> QgsVectorLayer | None:
        """Where accepted objects go; None for a new layer."""
        return self.target.currentLayer()

    @property
    def class_id(self) -> int | None:
        """The class that accepted objects get."""
        return self.classes.currentData()
