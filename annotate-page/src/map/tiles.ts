// The picture: tiles of a pyramid whose last level is the raster's own resolution.
import TileLayer from "ol/layer/Tile";
import type ImageTile from "ol/ImageTile";
import TileImage from "ol/source/TileImage";
import type Tile from "ol/Tile";
import TileState from "ol/TileState";
import TileGrid from "ol/tilegrid/TileGrid";
import { untilReachable } from "../net/connection";
import { blob, url } from "../net/request";
import type { Picture } from "../types";
import { boxToExtent } from "./geometry";
import { map, projection } from "./view";

/** Smooth when pixels are smaller than the screen's, true squares when they are larger. */
class RasterTiles extends TileImage {
  override getInterpolate(): boolean {
    return (map.getView().getResolution() ?? 1) >= 1;
  }

  /** Both ways show the same tiles: crossing 1:1 must not load them anew. */
  override getKey(): string {
    return super.getKey().replace(":disable-interpolation", "");
  }
}

export const tileLayer = new TileLayer<TileImage>({ preload: 1, className: "picture" });

export function showTiles(image: Picture): void {
  const { levels, tile_size: tileSize, recipe_hash: v } = image;
  tileLayer.setSource(
    new RasterTiles({
      projection,
      tileGrid: new TileGrid({
        extent: boxToExtent([0, 0, image.width, image.height]),
        origin: [0, 0],
        resolutions: Array.from({ length: levels }, (_, level) => 2 ** (levels - 1 - level)),
        tileSize,
      }),
      tileUrlFunction: ([level, column, row]) =>
        url(`images/${image.id}/tiles/${level}/${column}/${row}.png`, { v }),
      tileLoadFunction: (tile, address) => void load(tile, address),
      transition: 120,
      wrapX: false,
    }),
  );
}

/** With the token, which an address must not hold. While the server is away, the tile waits. */
async function load(tile: Tile, address: string): Promise<void> {
  let shown = "";
  try {
    shown = URL.createObjectURL(await untilReachable(() => blob(address)));
    const image = new Image();
    image.src = shown;
    await image.decode();
    (tile as ImageTile).setImage(image);
  } catch {
    tile.setState(TileState.ERROR);
  } finally {
    URL.revokeObjectURL(shown);
  }
}
