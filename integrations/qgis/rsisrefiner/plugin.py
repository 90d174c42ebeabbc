"""The plugin as QGIS loads and unloads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QIcon

from .controller import Controller
from .dock import Dock

MENU = "RS-ISRefiner"


class Plugin:
    """A button that shows the panel."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self.dock: Dock | None = None
        self.controller: Controller | None = None

    def initGui(self) -> None:
        """Called by QGIS: adds the button and the panel."""
        self.dock = Dock(self._iface.mainWindow())
        self.controller = Controller(self._iface, self.dock)
        self._action = self.dock.toggleViewAction()
        self._action.setIcon(QIcon(str(Path(__file__).parent / "icon.svg")))
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        self.dock.hide()
        self._iface.addToolBarIcon(self._action)
        self._iface.addPluginToMenu(MENU, self._action)

    def unload(self) -> None:
        """Called by QGIS: takes away all that `initGui` added."""
        if self.dock is None or self.controller is None:
            return
        self.controller.close()
        self._iface.removePluginMenu(MENU, self._action)
        self._iface.removeToolBarIcon(self._action)
        self._iface.removeDockWidget(self.dock)
        self.dock.deleteLater()
        self.dock = self.controller = None
