"""Objects on rasters by a few clicks: a client of the annotator's server, inside QGIS.

What imports nothing of QGIS, so that it is tested without: `server`, `conversation`, `grid`,
`images`, `drawing`. The rest shows that on the map: `network`, `map_tool`, `preview`,
`target_layer`, `dock`, `plugin`.
"""


def classFactory(iface):
    """What QGIS calls when it loads the plugin."""
    from .plugin import Plugin

    return Plugin(iface)
