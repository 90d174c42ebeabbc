"""What the buttons, the clicks on the map and the server's replies do."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsPointXY,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsSettings,
)

from .conversation import Conversation
from .dock import Dock
from .drawing import Drawing
from .grid import Grid
from .images import ImageSearch
from .map_tool import ClickTool
from .network import Network
from .preview import Preview
from .server import Refused, Server, server_at
from .target_layer import add_object, new_layer

TITLE = "RS-ISRefiner"
ADDRESS = "rsisrefiner/address"  # in QGIS's settings, without the token


class Controller:
    """One server, one raster at a time, one object after the other."""

    def __init__(self, iface: Any, dock: Dock) -> None:
        self._iface = iface
        self._dock = dock
        self._canvas = iface.mapCanvas()
        self._network = Network()
        self._talk = Conversation(self._network.send, self._failed, self._tell)
        self._server: Server | None = None
        self._classes: dict[int, str] = {}
        self._drawings: dict[int, Drawing] = {}  # by image
        self._drawing: Drawing | None = None
        self._grid = Grid(None)
        self._crs = QgsCoordinateReferenceSystem()
        self._name = ""
        self._preview = Preview(self._canvas)
        self.tool = ClickTool(self._canvas)
        self._wire()

    def _wire(self) -> None:
        dock, tool = self._dock, self.tool
        dock.address.setText(QgsSettings().value(ADDRESS, "http://localhost:8000/"))
        dock.connect_button.clicked.connect(lambda: self.connect())
        dock.address.returnPressed.connect(self.connect)
        dock.raster.layerChanged.connect(lambda: self._look_for_image())
        dock.click_button.toggled.connect(self._use_tool)
        dock.undo_button.clicked.connect(lambda: self._undo())
        dock.accept_button.clicked.connect(lambda: self._accept())
        dock.discard_button.clicked.connect(lambda: self._discard())
        tool.clicked.connect(self._clicked)
        tool.undone.connect(self._undo)
        tool.accepted.connect(self._accept)
        tool.discarded.connect(self._discard)
        tool.deactivated.connect(lambda: dock.click_button.setChecked(False))

    def close(self) -> None:
        """Leaves the map as it was. What is being drawn stays open on the server."""
        self._network.close()
        self._dock.raster.blockSignals(True)
        self._canvas.unsetMapTool(self.tool)
        self._preview.remove()

    def connect(self) -> None:
        """Asks the server at the address given what it has."""
        try:
            server = server_at(self._dock.address.text())
        except Refused as error:
            self._failed(str(error))
            return
        known = self._server
        if known is not None and known.base == server.base and not server.token:
            server = server._replace(token=known.token)
        self._talk.ask(
            lambda: server.request("GET", "/project"),
            lambda project: self._connected(server, project),
        )

    def _connected(self, server: Server, project: dict[str, Any]) -> None:
        QgsSettings().setValue(ADDRESS, server.base + "/")
        self._dock.address.setText(server.base + "/")  # no token on the screen, nor kept
        server = server._replace(project=project["id"])
        if server != self._server:
            self._server, self._drawings = server, {}
        self._classes = {item["id"]: item["name"] for item in project["classes"]}
        self._dock.set_classes(project["classes"])
        if error := project["model"]["error"]:
            self._failed(f"the server has no network: {error}")
        self._look_for_image()

    def _look_for_image(self) -> None:
        """Finds the chosen raster on the server."""
        self._take(None)
        layer = self._dock.raster_layer
        if self._server is None or layer is None:
            return
        extent = layer.extent()
        bounds = extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()
        ImageSearch(self._talk, self._server).find(
            file_of(layer), bounds, lambda image: self._found(layer.id(), image), self._failed
        )

    def _found(self, layer_id: str, image: dict[str, Any]) -> None:
        layer = self._dock.raster_layer
        if layer is None or layer.id() != layer_id or self._server is None:
            return  # another one was chosen meanwhile
        self._grid, self._crs, self._name = Grid(image["transform"]), layer.crs(), image["name"]
        known = self._drawings.get(image["id"])
        drawing = known or Drawing(self._talk, self._server, image["id"], lambda _: self._show())
        self._drawings[image["id"]] = drawing
        self._take(drawing)
        if image["changed"]:
            self._failed(image["changed"])

    def _take(self, drawing: Drawing | None) -> None:
        self._drawing = drawing
        self._dock.set_ready(drawing is not None)
        self._show()
        self._tell()

    def _use_tool(self, on: bool) -> None:
        if on:
            self._canvas.setMapTool(self.tool)
            self._canvas.setFocus()  # for the keys
        else:
            self._canvas.unsetMapTool(self.tool)

    def _clicked(self, place: QgsPointXY, positive: bool) -> None:
        if self._drawing is None:
            return
        system = self._canvas.mapSettings().destinationCrs()
        change = QgsCoordinateTransform(system, self._crs, QgsProject.instance())
        try:
            place = change.transform(place)
        except QgsCsException:
            self._failed("this place has no position in the raster's coordinate system")
            return
        self._drawing.click(*self._grid.to_pixels(place.x(), place.y()), positive)

    def _undo(self) -> None:
        if self._drawing is not None:
            self._drawing.undo()

    def _discard(self) -> None:
        if self._drawing is not None:
            self._drawing.discard()

    def _accept(self) -> None:
        if self._drawing is not None:
            grid, crs = self._grid, self._crs
            self._drawing.accept(self._dock.class_id, lambda object: self._made(object, grid, crs))

    def _made(self, object: dict[str, Any], grid: Grid, crs: QgsCoordinateReferenceSystem) -> None:
        """Puts an object that the server has made into the layer."""
        layer = self._dock.target_layer
        if layer is None:
            layer = new_layer(f"Objects of {self._name}", crs)
            QgsProject.instance().addMapLayer(layer)
            self._dock.target.setLayer(layer)
        values = {
            "object_id": object["id"],
            "class": self._classes.get(object["class_id"]),
            "clicks": object["clicks"],
            "area_m2": object["area_m2"],
        }
        try:
            add_object(layer, grid.polygons(object["geometry"]), crs, values)
        except Refused as error:
            self._failed(f"{layer.name()}: {error}. The server keeps it as object {object['id']}")

    def _show(self) -> None:
        session = self._drawing.session if self._drawing else None
        self._preview.show(session, self._grid, self._crs)
        self._tell()

    def _tell(self) -> None:
        """Says in the panel how things stand."""
        session = self._drawing.session if self._drawing else None
        if self._talk.busy:
            self._dock.say("computing ..." if self._drawing else "asking the server ...")
        elif self._server is None:
            self._dock.say("not connected")
        elif self._drawing is None:
            self._dock.say("connected; choose a raster that the server has")
        elif session is None:
            self._dock.say(f"{self._name}: click on an object")
        else:
            count = len(session["clicks"])
            clicks = f"{count} click{'' if count == 1 else 's'}"
            self._dock.say(f"{clicks}, {session['area_px']} pixels")

    def _failed(self, sentence: str) -> None:
        self._iface.messageBar().pushWarning(TITLE, sentence)


def file_of(layer: QgsRasterLayer) -> str:
    """The path of the file that a raster layer shows."""
    registry = QgsProviderRegistry.instance()
    known = registry.decodeUri(layer.providerType(), layer.source())
    return known.get("path") or layer.source()
